"""What a spec names, as lines of an ini: whoever judges paths tells of them by their line. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

from emperor.config.language.inifile import Row
from emperor.doctor.finding import Finding
from emperor.model import VassalSpec

_OPTION = re.compile(r"(?:remove )?([a-z][a-z0-9-]*)(?=: | = |$)")
"""With which a problem begins, or what is to be written instead."""


def located(finding: Finding, config: str, origins: Mapping[str, str]) -> Finding:
    """With the line in the place of the file, where the option is named. ``origins``: option → ``file:line``."""

    def told(text: str) -> str:
        start, found, rest = text.partition(f"{config}: ")
        option = _OPTION.match(rest) if found else None
        origin = origins.get(option[1], "") if option is not None else ""
        return f"{start}{origin}: {rest}" if origin else text

    return finding._replace(what=told(finding.what), mend=tuple(map(told, finding.mend)))


def rows_of(spec: VassalSpec) -> tuple[Row, ...]:
    """Their number is 0: where they stand is not known, only what they come to."""
    pairs = [("chdir", spec.chdir), ("chdir2", spec.chdir2), ("virtualenv", spec.virtualenv), ("python", spec.python)]
    for target in spec.targets:
        if target.mount:
            pairs.append(("mount", f"{target.mount}={target.where}"))
        else:
            pairs.append(("wsgi-file" if target.kind == "file" else "module", target.where))
    pairs += [("pythonpath", path) for path in spec.pythonpath]
    return tuple(Row(key, value, spec.config, 0) for key, value in pairs if value)
