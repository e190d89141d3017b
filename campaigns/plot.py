"""The samples of a soak as a picture: ``python -m campaigns.plot soak.csv soak.svg``.

matplotlib is imported here alone.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import matplotlib

matplotlib.use("svg")

from matplotlib import pyplot

_WIDTH, _HEIGHT = 9.0, 2.0
"""Inches, of each panel."""


class _Panel(NamedTuple):
    """``lines``: columns of the table, and what they are called."""

    title: str
    lines: dict[str, str]
    logarithmic: bool = False


_PANELS = (
    _Panel(
        "resident MiB",
        {"emperor": "emperor", "vassal": "vassal left alone", "workers": "its workers, together"},
    ),
    _Panel(
        "descriptors",
        {
            "emperor_descriptors": "emperor",
            "vassal_descriptors": "vassal left alone",
            "workers_descriptors": "its workers, together",
        },
    ),
    _Panel("processes and threads", {"processes": "processes in all", "emperor_threads": "threads of the emperor"}),
    _Panel("ms until the answer", {"p50": "p50", "p99": "p99"}, logarithmic=True),
)


def draw(source: Path, target: Path) -> None:
    """Raises OSError, KeyError for a table without these columns, ValueError for one that holds no numbers."""
    with source.open(newline="") as file:
        rows = list(csv.DictReader(file))
    minutes = [float(row["seconds"]) / 60 for row in rows]
    upgrades = next((at for at, row in zip(minutes, rows) if float(row["upgrades"])), None)
    # The same table makes the same file.
    matplotlib.rcParams.update({"svg.hashsalt": "soak", "font.size": 8})
    figure, axes = pyplot.subplots(len(_PANELS), sharex=True, figsize=(_WIDTH, _HEIGHT * len(_PANELS)))
    for panel, axis in zip(_PANELS, axes):
        for column, name in panel.lines.items():
            axis.plot(minutes, [float(row[column]) for row in rows], label=name, linewidth=0.8)
        axis.set_ylabel(panel.title)
        axis.set_yscale("log") if panel.logarithmic else axis.set_ylim(bottom=0)
        if upgrades is not None:
            axis.axvline(upgrades, color="grey", linewidth=0.8, linestyle=":")
        axis.legend(loc="upper left" if panel.logarithmic else "lower left", ncols=len(panel.lines), frameon=False)
    axes[-1].set_xlabel("minutes; right of the dotted line the emperor replaces itself once a minute")
    figure.tight_layout()
    figure.savefig(target, metadata={"Date": None})


def main(argv: Sequence[str]) -> int:
    if len(argv) != 2:
        print("usage: python -m campaigns.plot SOAK.csv FILE.svg", file=sys.stderr)
        return 2
    draw(Path(argv[0]), Path(argv[1]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
