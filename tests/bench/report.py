"""What was found, and what was asked: a table for people, and one line of JSON."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import median
from typing import Any, Final

from rich.console import Console
from rich.table import Table

#: For what is going on while the table is not there yet.
progress: Final = Console(stderr=True, highlight=False)


@dataclass(frozen=True)
class Figure:
    """One line of the table: what every round of ours and of the other gave, in turns."""

    what: str
    ours: Sequence[float]
    #: What stands beside it, and what it gave. Nothing where a figure speaks for itself.
    beside: str = ""
    theirs: Sequence[float] = ()
    #: As the project asks it of itself; "" where it is only to be known.
    asked: str = ""

    @property
    def ratio(self) -> float | None:
        """None where there is nothing beside it, or too little to be seen: a clock of CPU ticks a hundred times a second."""
        theirs = median(self.theirs) if self.theirs else 0.0
        return median(self.ours) / theirs if theirs else None

    @property
    def spread(self) -> tuple[float, float] | None:
        """The smallest and the largest ratio of two rounds that followed each other."""
        if len(self.theirs) != len(self.ours) or not all(self.theirs):
            return None
        ratios = [ours / theirs for ours, theirs in zip(self.ours, self.theirs, strict=True)]
        return min(ratios), max(ratios)

    def document(self) -> dict[str, Any]:
        told = {"what": self.what, "ours": [_short(one) for one in self.ours], "asked": self.asked}
        if self.ratio is None:
            return told
        return told | {
            "beside": self.beside,
            "theirs": [_short(one) for one in self.theirs],
            "ratio": _short(self.ratio),
        }


def table_of(title: str, figures: Sequence[Figure]) -> Table:
    """Medians; beside a ratio the smallest and largest of two rounds that followed each other."""
    table = Table(title=title, title_justify="left")
    for column in ("", "ours", "beside", "theirs", "ratio", "asked"):
        table.add_column(column, justify="left" if column in ("", "beside", "asked") else "right")
    for figure in figures:
        row = [figure.what, _shown(median(figure.ours)), figure.beside, "", "", figure.asked]
        if figure.ratio is not None:
            row[3], row[4] = _shown(median(figure.theirs)), f"{figure.ratio:.2f}"
            if figure.spread and len(figure.ours) > 1:
                row[4] += " ({:.2f}-{:.2f})".format(*figure.spread)
        table.add_row(*row)
    return table


def document_of(figures: dict[str, Sequence[Figure]]) -> dict[str, Any]:
    return {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpus": os.cpu_count(),
        "load": os.getloadavg()[0],
        **{name: [figure.document() for figure in found] for name, found in figures.items()},
    }


def _short(figure: float) -> float:
    return float(f"{figure:.3g}")


def _shown(figure: float) -> str:
    return f"{figure:,.0f}" if figure >= 100 else f"{figure:.3g}"
