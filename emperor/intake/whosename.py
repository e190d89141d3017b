"""Of several inis with one name, whose is it? Whose name it is has its socket in the emperor's folder, too.

It promises: a user's ini never takes a name from another ini that is there, nor in the moment in which that one is
replaced, nor a name that another user's vassal has had; an administrator's does. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Registry:
    """What is known of names and of who asks for them.

    ``has``: name → path of whoever had it last; it is theirs until they were told to be gone. ``kept``: name → uid of
    the user whose vassal has had it. ``whose``: path → uid of whoever owns its folder, as far as that is known.
    """

    has: Mapping[str, str] = field(default_factory=dict)
    kept: Mapping[str, int] = field(default_factory=dict)
    whose: Mapping[str, int] = field(default_factory=dict)

    def lets(self, name: str, path: str) -> bool:
        """May a user's ini be called so?"""
        kept = self.kept.get(name)
        return kept is None or self.whose.get(path) == kept


def holders(asking: Mapping[str, Sequence[str]], known: Registry, ours: Callable[[str], bool]) -> dict[str, str]:
    """Name → path. ``asking``: name → the paths of all that are called so, in the order of their places.

    ``ours``: does the ini lie where only an administrator can write? Asked only if it decides.
    """
    found = {}
    for name, paths in asking.items():
        holder = known.has.get(name)
        if len(paths) == 1 and holder in (None, paths[0]) and known.lets(name, paths[0]):
            found[name] = paths[0]
            continue
        first = [path for path in paths if ours(path)] or [
            path for path in paths if holder in (None, path) and known.lets(name, path)
        ]
        if first:
            found[name] = holder if holder in first else first[0]
    return found
