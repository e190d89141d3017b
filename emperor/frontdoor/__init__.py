"""Parts of the development front door, ``emperor.front``: plain HTTP in, uwsgi or FastCGI out."""
