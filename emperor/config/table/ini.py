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
)
# fmt: on
