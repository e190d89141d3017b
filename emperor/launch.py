"""The first file that an app's interpreter reads of us: ``python launch.py NAME CHANNEL PAPER``.

It must still be understood by interpreters that are too old for the rest, so that they can say so.
"""

import os
import sys

if sys.version_info < (3, 9):  # noqa: UP036 -- the emperor's own Python says nothing about the app's
    # No newer way to format is known to every interpreter that may read this line.
    found = "%d.%d" % sys.version_info[:2]  # noqa: UP031 -- as said above
    sys.stderr.write(sys.executable + ": is Python " + found + ": a vassal needs 3.9 or newer\n")
    sys.exit(22)

if getattr(sys.flags, "safe_path", False):
    # PYTHONSAFEPATH, which an ini's env may set, leaves out the folder that we lie in.
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from emperor.vassal import main

if __name__ == "__main__":
    # What the app imports is the app's affair: our folder was needed for the line above alone. Later imports of
    # ours go through the package's own path.
    del sys.path[0]
    main(sys.argv)
