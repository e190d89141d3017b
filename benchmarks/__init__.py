"""Our server beside uWSGI, gunicorn and flup: `python -m benchmarks`, or `make bench`.

Everything is measured in one run, side by side, through a real nginx, and told as ratios: the machine's own speed
drops out. Standard library only; no part of the installed package.
"""
