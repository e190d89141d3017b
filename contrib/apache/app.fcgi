#!/bin/sh
# For web servers that start an executable file (mod_fcgid with ScriptAlias). chmod 755.
# "exec" matters: the web server's TERM must reach the app and not this shell.
exec /usr/local/bin/emperor run --wsgi-file /srv/blog/app.py --virtualenv /srv/blog/venv
