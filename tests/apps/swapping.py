"""Swaps a file with each of several others, thousands of times: ``swapping.py SECONDS FILE OTHER...``."""

import ctypes
import itertools
import os
import sys
import time

AT_FDCWD, EXCHANGE = -100, 2
LIBC = ctypes.CDLL(None, use_errno=True)

end, count = time.monotonic() + float(sys.argv[1]), 0
for other in itertools.cycle(sys.argv[3:]):
    if time.monotonic() > end:
        break
    if LIBC.renameat2(AT_FDCWD, os.fsencode(sys.argv[2]), AT_FDCWD, os.fsencode(other), EXCHANGE) != 0:
        sys.exit(os.strerror(ctypes.get_errno()))
    count += 1
print(count)
