"""How does a person see a replay: a bar while it runs, a page when it is done?"""

import base64
import sys
from collections.abc import Mapping
from datetime import datetime
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Task, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from rich.text import Text

from chassis.clock import JST
from console.audit.replay import Replayed
from console.audit.replay_kept import ReplayedKept


class _Rate(TextColumn):
    def __init__(self) -> None:
        super().__init__("")

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:,.0f}/s" if speed else "", style="cyan")


class Bars:
    """A bar for each stage, on standard error; nothing where nobody looks."""

    def __init__(self) -> None:
        console = Console(stderr=True)
        self._bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            _Rate(),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def stage(self, what: str, total: int) -> None:
        if self._task is not None:
            # An estimate of the last stage must not look like something left undone.
            task = self._bar.tasks[self._task]
            self._bar.update(self._task, total=task.completed)
        self._task = self._bar.add_task(what, total=total)

    def advance(self, count: int) -> None:
        if self._task is not None:
            self._bar.advance(self._task, count)


def tell(found: Replayed | ReplayedKept) -> None:
    """Differences on standard output, one a line; the rest on standard error."""
    for difference in found.differences:
        print(difference)
    print(summary(found) if isinstance(found, Replayed) else summary_of_kept(found), file=sys.stderr)


def summary(found: Replayed) -> str:
    certificates, views = f"{found.certificates} certificates (電子証書)", f"{found.views} views (照会)"
    lines = [
        f"Replayed{_as_of(found)}: {certificates}, {views}, {found.size} leaves.",
        f"Root of the log (透明性ログ): {base64.b64encode(found.root).decode()}.",
        f"Event log: {found.repeats} facts repeated; unreadable: {_counted(found.unreadable)}.",
        f"Issued and not registered yet: {found.unregistered}. Newer, and left out: {_counted(found.newer)}.",
        f"Checkpoints whose root is that of the replay: {found.checkpoints}.",
    ]
    if found.taken_over:
        lines.append(f"Leaves of which no event tells place and salt, taken from the registry: {found.taken_over}.")
    return "\n".join([*lines, *_end(found, "registry")])


def summary_of_kept(found: ReplayedKept) -> str:
    lines = [
        f"Replayed{_as_of(found)}: what the {found.service} keeps. Rows: {_counted(found.rows)}.",
        f"Event log: unreadable: {_counted(found.unreadable)}; refused (拒否): {_counted(found.refused)}.",
        f"Newer, and left out: {_counted(found.newer)}.",
    ]
    if found.of_other_data:
        lines.append(f"Decided by other reference data, and left out: {_counted(found.of_other_data)}.")
    return "\n".join([*lines, *_end(found, found.service)])


def _as_of(found: Replayed | ReplayedKept) -> str:
    return f" as it was at {_in_japan(found.until)}" if found.until else ""


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items() if count) or "none"


def _end(found: Replayed | ReplayedKept, service: str) -> list[str]:
    rate = f"{found.facts / found.feeding_seconds:,.0f}" if found.facts and found.feeding_seconds else "0"
    lines = [
        f"Not replayed, because no event tells them: {found.not_replayed}.",
        f"{found.facts} facts in {found.feeding_seconds:.1f} s ({rate}/s); {found.seconds:.1f} s in all.",
    ]
    if found.kept:
        lines.append(f"The shadow is kept as the schema {found.kept} of that database; the role {service} can read it.")
    lines.append("They are equal." if found.equal else f"They differ in {len(found.differences)} places.")
    return lines


def _in_japan(moment: datetime) -> str:
    return f"{moment.astimezone(JST).isoformat(timespec='seconds')} (日本時間)"
