"""Who may connect to a socket file: what the ini asks for, as mode, owner and ACL. Pure; ``listeners`` applies it.

This module runs in vassals too: standard library, Python 3.9.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

from emperor.model import Identity, SocketSpec

DEFAULT_MODE = 0o660


@dataclass(frozen=True)
class Access:
    """Who may connect to a socket file. ``uid``, ``gid`` None: as the kernel makes them for the binder.

    ``umask`` is set where the ini asks for no mode: then bind alone decides, as in uWSGI and flup, and a
    default ACL of the folder is left to decide instead; ``mode`` is what comes out without one. ``acl_gid``
    may read and write.
    """

    mode: int
    uid: Optional[int] = None
    gid: Optional[int] = None
    acl_gid: Optional[int] = None
    umask: Optional[int] = None


def access(spec: SocketSpec, identity: Identity, web_gid: Optional[int], process_umask: int, can_chown: bool) -> Access:
    """What the ini asks for. ``can_chown``: the binder is root, in a folder of root's.

    Silence means that the owner and the web server may connect, by group or else by ACL, and nobody else. A
    word about mode, umask or owner means uWSGI's rule to the letter: 0777 & ~umask, unless chmod-socket says
    otherwise.
    """
    if spec.silent:
        return _default_access(identity, web_gid, can_chown)
    umask = process_umask if spec.umask is None else spec.umask
    # A setgid folder gives the socket its own group: nobody but root is to take that away unasked.
    own_gid = identity.gid if can_chown else None
    return Access(
        mode=0o777 & ~umask if spec.mode is None else spec.mode,
        uid=identity.uid if spec.uid is None else spec.uid,
        gid=own_gid if spec.gid is None else spec.gid,
        umask=umask if spec.mode is None else None,
    )


def _default_access(identity: Identity, web_gid: Optional[int], can_chown: bool) -> Access:
    if can_chown:
        return Access(DEFAULT_MODE, identity.uid, identity.gid if web_gid is None else web_gid)
    if web_gid is None or web_gid in (identity.gid, *identity.groups):
        return Access(DEFAULT_MODE, identity.uid, web_gid)
    return Access(DEFAULT_MODE, identity.uid, acl_gid=web_gid)
