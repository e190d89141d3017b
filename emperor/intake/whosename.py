"""Of several inis with one name, whose is it? Whose name it is has its socket in the emperor's folder, too.

It promises: a user's ini never takes a name from another ini that is there, nor in the moment in which that one is
replaced; an administrator's does. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence


def holders(asking: Mapping[str, Sequence[str]], has: Mapping[str, str], ours: Callable[[str], bool]) -> dict[str, str]:
    """Name → path. ``asking``: name → the paths of all that are called so, in the order of their places.

    ``has``: who had it last; it is theirs until it was told that they are gone. ``ours``: does the ini lie where only
    an administrator can write? Asked only if it decides.
    """
    found = {}
    for name, paths in asking.items():
        holder = has.get(name)
        if len(paths) == 1 and holder in (None, paths[0]):
            found[name] = paths[0]
            continue
        first = [path for path in paths if ours(path)] or [path for path in paths if holder in (None, path)]
        if first:
            found[name] = holder if holder in first else first[0]
    return found
