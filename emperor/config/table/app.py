"""What an app is: its user, its interpreter, its code, its surroundings."""

from __future__ import annotations

from emperor.config import values as v
from emperor.config.table.option import Option, done, many

# fmt: off
APP: tuple[Option, ...] = (
    done("uid", v.USER, "the web server's user",
         "The user that the app runs as, by name or number.", "immediate-uid"),
    done("gid", v.GROUP, "the user's own group",
         "The group that the app runs as; the user's other groups stay.", "immediate-gid"),
    done("allow-root", v.FLAG, "no",
         "Lets `uid = root` and `gid = root` through; only in an ini that root alone can write."),
    done("virtualenv", v.PATH, "",
         "The virtualenv whose Python and packages the app uses.", "home venv pyhome", "H"),
    done("python", v.INTERPRETER, "the virtualenv's, else the emperor's own",
         "The interpreter that runs the app; CPython or PyPy, 3.9 or later."),
    done("module", v.MODULE, "",
         "The app as an import: package.module, package.module:app, or package.module:create_app() for a "
         "factory.", "wsgi", "w"),
    done("wsgi-file", v.PATH, "",
         "The app as a Python file.", "file"),
    done("callable", v.CALLABLE, "application, else app",
         "The name of the app in its module or file, where `module` or `mount` does not say it after a "
         "colon."),
    many("mount", v.MOUNT, "",
         "One app under a URL prefix: /shop=shop.wsgi:app or /shop=/srv/shop/run.py. Repeat it for several "
         "apps."),
    done("manage-script-name", v.FLAG, "no",
         "Splits the request's path at the `mount` prefix into SCRIPT_NAME and PATH_INFO, so that url_for "
         "stays under the prefix."),
    done("script-name", v.SCRIPT_NAME, "auto",
         "SCRIPT_NAME for the app: auto takes the web server's, / empties it, /prefix fixes it, with the "
         "prefix cut off the path."),
    many("pythonpath", v.PATH, "",
         "A folder to import from, before the installed packages.", "python-path pp"),
    done("chdir", v.PATH, "the ini's folder",
         "The folder that the app starts in; relative paths of sockets, apps and virtualenv begin there."),
    done("chdir2", v.PATH, "",
         "The folder that the app is in once it is imported."),
    many("env", v.ASSIGNMENT, "",
         "An environment variable for the app. Of the emperor's it inherits language and time zone alone."),
    done("umask", v.UMASK, "the emperor's",
         "Umask of the app's process: which permissions new files do not get."),
)
# fmt: on
