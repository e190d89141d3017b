"""Exchanges paths with one another, as fast as it can, until standard input ends: NOISE PATH PATH [PATH PATH]...

Now and then it makes and removes the file NOISE, so that whoever watches its folder looks. Source: rename(2).
"""

import ctypes
import os
import select
import sys

HERE, EXCHANGE = -100, 2
BETWEEN = 100
"""Exchanges from one noise to the next."""


def main(noise, paths):
    libc = ctypes.CDLL(None, use_errno=True)
    pairs = list(zip(paths[::2], paths[1::2]))
    while not select.select([0], [], [], 0)[0]:
        for _ in range(BETWEEN):
            for one, other in pairs:
                if libc.renameat2(HERE, os.fsencode(one), HERE, os.fsencode(other), EXCHANGE):
                    sys.exit(os.strerror(ctypes.get_errno()))
        open(noise, "w").close()
        os.unlink(noise)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
