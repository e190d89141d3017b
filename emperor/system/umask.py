"""The process's umask, for one call.

This module runs in vassals too: standard library, Python 3.9.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator


@contextlib.contextmanager
def umask(mask: int) -> Iterator[None]:
    """It belongs to the whole process: nothing else may make files meanwhile, so no thread of ours does."""
    previous = os.umask(mask)
    try:
        yield
    finally:
        os.umask(previous)
