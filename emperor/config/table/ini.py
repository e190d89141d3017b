"""What is about the ini itself."""

from __future__ import annotations

from emperor.config import values as v
from emperor.config.table.option import Option, done, many

# fmt: off
INI: tuple[Option, ...] = (
    done("strict", v.FLAG, "no",
         "Makes an unknown option an error."),
    many("set-placeholder", v.PLACEHOLDER, "",
         "Defines KEY for %(KEY).", "set-ph"),
    many("set", v.PLACEHOLDER, "",
         "KEY=VALUE is the line KEY = VALUE; for the command line.", short="S"),
    many("ini", v.PATH, "",
         "The lines of another ini (of a section of it: FILE:SECTION) in this line's place; in root's inis only.",
         "include"),
    many("inherit", v.PATH, "",
         "The lines of another ini, behind all of this one's; in root's inis only."),
    many("for", v.TEXT, "",
         "Repeats every line up to `endfor` for each word: %(_) is the word. `for-glob` takes paths, `for-times` the "
         "numbers from 1, `for-readline` the lines of a file.", "for-glob for-times for-readline"),
    many("if-env", v.TEXT, "",
         "Keeps the lines up to `endif` if the emperor's environment has the variable, or `NAME=VALUE`; `if-opt` asks "
         "the lines so far, and `if-not-…` is the opposite.", "if-not-env ifenv if-opt if-not-opt"),
    many("if-exists", v.TEXT, "",
         "Keeps the lines up to `endif` if the path exists; `if-file` and `if-dir` ask what it is.",
         "if-not-exists ifexists if-file if-not-file if-dir if-not-dir ifdir if-directory"),
    many("if-hostname", v.TEXT, "",
         "Keeps the lines up to `endif` on the machine of this name.",
         "if-not-hostname if-hostname-match if-not-hostname-match"),
    many("if-plugin", v.TEXT, "",
         "Keeps the lines up to `endif` if uWSGI would have the plugin: of Python's.", "if-not-plugin ifplugin"),
    many("if-reload", v.FLAG, "",
         "Keeps the lines up to `endif` if uWSGI reloads itself; a reload here is a start, so never.", "if-not-reload"),
    many("endif", v.FLAG, "",
         "Ends a block.", "end-if endfor end-for"),
)
# fmt: on
