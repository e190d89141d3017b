"""A process supervisor and application server for WSGI apps. The map of the rooms is docs/design.md."""

__version__ = "0.1.0"
