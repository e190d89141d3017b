"""The first file that an app's interpreter reads of a lone server: ``python launch_lone.py NAME PAPER``.

The package is run from where it lies, and nothing else that lies there can be imported by the app. This file must
still be understood by interpreters that are too old for the rest, so that they can say so.
"""

import sys

if sys.version_info < (3, 9):  # noqa: UP036 -- the emperor's own Python says nothing about the app's
    # No newer way to format is known to every interpreter that may read this line.
    found = "%d.%d" % sys.version_info[:2]  # noqa: UP031 -- as said above
    sys.stderr.write("emperor run: " + sys.executable + ": is Python " + found + ": an app needs 3.9 or newer\n")
    sys.exit(1)

here = __file__.rpartition("/")[0]
if sys.path[:1] == [here]:
    # Python puts a program's folder there (not with -P): our modules would be found under wrong names.
    del sys.path[0]

import importlib.util  # noqa: E402 -- only behind the look at the version

if __name__ == "__main__":
    spec = importlib.util.spec_from_file_location("emperor", here + "/__init__.py", submodule_search_locations=[here])
    assert spec is not None and spec.loader is not None
    sys.modules["emperor"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules["emperor"])

    from emperor.lone import main

    main(sys.argv)
