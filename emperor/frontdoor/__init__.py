"""Parts of the development front door, ``emperor.front``: plain HTTP in, uwsgi, FastCGI or HTTP out."""
