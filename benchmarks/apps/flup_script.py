"""flup as its own documentation and Flask's (up to 2.1) show it: python flup_script.py SOCKET."""

import sys

from flask_hello import app  # type: ignore[import-not-found,unused-ignore]  # it lies beside this file
from flup.server.fcgi import WSGIServer

if __name__ == "__main__":
    WSGIServer(app, bindAddress=sys.argv[1], umask=0).run()
