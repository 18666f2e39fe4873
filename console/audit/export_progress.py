"""How far is it, how fast, and how long will it take? On standard error, and only where somebody looks."""

import contextlib
from collections.abc import Iterator
from typing import Protocol

from rich.console import Console
from rich.filesize import decimal
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn, TimeRemainingColumn
from rich.text import Text


class Show(Protocol):
    """Told that a step of so many units begins, and that some are done."""

    def begin(self, what: str, total: int, *, bytes_: bool = False) -> None: ...
    def done(self, units: int) -> None: ...


class Silent:
    """Shows nothing."""

    def begin(self, what: str, total: int, *, bytes_: bool = False) -> None:
        pass

    def done(self, units: int) -> None:
        pass


class _Bars:
    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task: TaskID | None = None

    def begin(self, what: str, total: int, *, bytes_: bool = False) -> None:
        if self._task is not None:
            self._progress.remove_task(self._task)
        self._task = self._progress.add_task(what, total=total, bytes_=bytes_)

    def done(self, units: int) -> None:
        if self._task is not None:
            self._progress.advance(self._task, units)


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed or 0.0
        if task.fields["bytes_"]:
            return Text(f"{decimal(int(task.completed))} {decimal(int(speed))}/s")
        return Text(f"{int(task.completed):,} of {int(task.total or 0):,} {speed:,.0f}/s")


@contextlib.contextmanager
def bars() -> Iterator[Show]:
    console = Console(stderr=True)
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        _Rate(),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
        transient=True,
    ) as progress:
        yield _Bars(progress)
