"""The apps that an ini names: one at the root, or several under URL prefixes."""

from __future__ import annotations

from dataclasses import replace

from emperor.config.settings import Findings, Setting, Settings, resolve
from emperor.model import Target

NAMES = ("module", "wsgi-file", "mount")


def targets(settings: Settings, base: str, findings: Findings) -> tuple[Target, ...]:
    """In the ini's order, no two at the same prefix. ``base``: where relative files begin."""
    if not settings.named.intersection(NAMES):
        findings.wrong(
            None,
            "names no app -- write module = PACKAGE.MODULE, wsgi-file = /PATH/APP.py, "
            "or mount = /PREFIX=MODULE:CALLABLE",
        )
    name = settings.value("callable", "")
    root = (settings.last("module"), settings.last("wsgi-file"))
    found = [one for one in settings.items if one.option.name == "mount" or one in root]
    first: dict[str, Setting] = {}
    result = []
    for setting in found:
        target = _target(setting, base)
        earlier = first.setdefault(target.mount, setting)
        if earlier is not setting:
            what = f"is a second app at the same place as {earlier.row.key} ({earlier.where})"
            findings.wrong(setting, f"{what} -- remove one, or give each its prefix with mount")
        result.append(replace(target, callable=target.callable or name))
    return tuple(result)


def _target(setting: Setting, base: str) -> Target:
    value = setting.value
    if setting.option.name == "module":
        return Target("", "module", *value)
    target = Target("", "file", value) if setting.option.name == "wsgi-file" else value
    return replace(target, where=resolve(base, target.where)) if target.kind == "file" else target
