"""What a spec names, as lines of an ini: whoever judges paths tells of them by their line. Pure."""

from __future__ import annotations

from emperor.config.language.inifile import Row
from emperor.model import VassalSpec


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
