"""A WSGI app whose workers end soon after they began to serve, while the file "die" lies in its folder."""

import os
import threading


def perhaps_end():
    if os.path.exists("die"):
        threading.Timer(0.02, os._exit, (3,)).start()


os.register_at_fork(after_in_child=perhaps_end)


def application(environ, start_response):
    if environ["PATH_INFO"] == "/kill":
        os.kill(os.getpid(), 11)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"alive"]
