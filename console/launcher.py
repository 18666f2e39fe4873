"""How does a person start, watch and stop the stack of this machine?"""

import functools
import shutil
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn
from rich.table import Table

from chassis.kafka import OPERATOR
from deploy.local import kafka_jars
from deploy.local.problem import Problem, last_lines
from deploy.local.process import end
from deploy.local.stack import stack
from deploy.local.state import CLONE, MARK, PREFERRED_PORTS, open_state, state_folder
from deploy.local.status import PartStatus, StackStatus, Stage, end_leftovers, is_running, read

app = typer.Typer()

_LOOK_EVERY_SECONDS = 0.1
_UP_SECONDS = 180.0
_DOWN_SECONDS = 120.0
_LOG_LINES = 40

Without = Annotated[list[str] | None, typer.Option("--without", metavar="NAME", help="Leave this part out.")]

Tls = Annotated[
    bool, typer.Option("--tls", envvar="AKASHI_TLS", help="Let all parts speak TLS with each other, and with you.")
]


def bring_up(*, without: Iterable[str] = (), tls: bool = False, console: Console | None = None) -> StackStatus:
    """Have every part ready, whether it ran before or not. Problem, and nothing runs, when one can't be."""
    shown = console or Console(stderr=True)
    left_out = list(without)
    state = open_state(state_folder())
    parts = [part.name for part in stack(state, PREFERRED_PORTS, without=left_out)]
    supervisor = None
    if is_running(state):
        if (running := read(state)) and running.parts and [part.name for part in running.parts] != parts:
            raise Problem("The stack is up with other parts than these: `make down` first.")
        if running and running.parts and running.tls != tls:
            raise Problem(f"The stack is up {'with' if running.tls else 'without'} TLS: `make down` first.")
    else:
        if "kafka" in parts:
            with _download_bar(shown) as progress:
                kafka_jars.ensure_jars(progress)
        supervisor = _start_supervisor(state, left_out, tls=tls)
    try:
        return _wait_until_ready(state, supervisor, shown)
    except (Problem, KeyboardInterrupt):
        if supervisor is not None:
            take_down()
        raise


def take_down() -> bool:
    """Stop every part and wait; False when nothing ran."""
    state = state_folder()
    status = read(state)
    ran = is_running(state)
    if ran and status is not None:
        # The supervisor stops the parts in order, each within its own time.
        end(status.pid, status.birth, timeout_seconds=_DOWN_SECONDS)
    if (state / MARK).exists():
        end_leftovers(state)
    return ran


def plainly(command: Callable[..., None]) -> Callable[..., None]:
    """A command whose failures are one sentence on stderr and exit code 1."""

    @functools.wraps(command)
    def spoken(*args: object, **options: object) -> None:
        try:
            command(*args, **options)
        except Problem as problem:
            typer.echo(str(problem), err=True)
            raise typer.Exit(1) from None
        except OSError as error:
            typer.echo(f"{error.filename or 'The system'}: {error.strerror}; see to that and try again.", err=True)
            raise typer.Exit(1) from None
        except KeyboardInterrupt:
            typer.echo("Interrupted.", err=True)
            raise typer.Exit(130) from None

    return spoken


@app.command()
@plainly
def up(without: Without = None, *, tls: Tls = False) -> None:
    """Start everything on this machine, and leave it running."""
    state = state_folder()
    was_up = is_running(state) and (status := read(state)) is not None and status.ready
    status = bring_up(without=without or (), tls=tls)
    if was_up:
        typer.echo("The stack is already up.")
    for part in status.parts:
        if part.address.startswith("http"):
            typer.echo(f"  {part.name:<9} {part.address}")
    typer.echo(f"  logs      {state / 'logs'}")
    if status.tls:
        typer.echo(f"  authority {state / 'secrets' / OPERATOR / 'ca.pem'}, for browsers and curl --cacert")


@app.command()
@plainly
def down() -> None:
    """Stop everything; what was stored stays."""
    typer.echo("The stack is down." if take_down() else "The stack was not up.")


@app.command()
@plainly
def status() -> None:
    """Show how every part is; succeeds only if all are ready."""
    state = state_folder()
    found = read(state)
    if not is_running(state) or found is None:
        raise Problem("The stack is not up: `make up` starts it.")
    table = Table("part", "state", "pid", "address", "uptime", "restarts", box=None)
    for part in found.parts:
        uptime = _duration(time.time() - part.since) if part.stage is Stage.READY else ""
        table.add_row(part.name, part.stage, str(part.pid or ""), part.address, uptime, str(part.restarts or ""))
    Console().print(table)
    for message in filter(None, (part.message for part in found.parts)):
        typer.echo(message, err=True)
    if not found.ready:
        raise typer.Exit(1)


@app.command()
@plainly
def logs(
    part: Annotated[str, typer.Argument(help="Which part; the supervisor itself without one.")] = "supervisor",
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, max=1_000_000)] = _LOG_LINES,
    *,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until Ctrl-C.")] = False,
) -> None:
    """Show the end of a part's log."""
    folder = state_folder() / "logs"
    log = folder / f"{part}.log"
    if not log.is_file():
        known = ", ".join(sorted(path.stem for path in folder.glob("*.log"))) or "none yet"
        raise Problem(f"There is no log of {part}: choose one of those there are ({known}).")
    with log.open(errors="replace") as file:
        typer.echo("".join(deque(file, lines)), nl=False)
        while follow:
            typer.echo(file.read(), nl=False)
            time.sleep(_LOOK_EVERY_SECONDS)


@app.command()
@plainly
def clean() -> None:
    """Stop everything and forget all that was stored."""
    state = state_folder()
    if not state.exists():
        typer.echo("There is nothing to remove.")
        return
    if not (state / MARK).exists():
        raise Problem(f"{state} is not Akashi's state: remove it yourself if it should go.")
    take_down()
    shutil.rmtree(state)
    typer.echo(f"Removed {state}.")


@contextmanager
def _download_bar(console: Console) -> Iterator[kafka_jars.Progress]:
    """A bar that only shows when something is fetched; lines where there is no terminal."""
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        console=console,
        disable=not console.is_terminal,
    ) as bar:
        task = bar.add_task("Fetching Kafka from Maven Central", visible=False, total=None)
        said = -1

        def show(done: int, total: int) -> None:
            nonlocal said
            bar.update(task, completed=done, total=total, visible=True)
            quarter = 4 * done // max(total, 1)
            if not console.is_terminal and quarter > said:
                said = quarter
                console.print(f"Fetching Kafka from Maven Central: {done >> 20} of {total >> 20} MB")

        yield show


def _start_supervisor(state: Path, without: Iterable[str], *, tls: bool) -> subprocess.Popen[bytes]:
    options = [*(part for name in without for part in ("--without", name)), *(["--tls"] if tls else [])]
    (state / "logs").mkdir(exist_ok=True)
    with (state / "logs" / "supervisor.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "deploy.local.supervisor", "--state", str(state), *options],
            cwd=CLONE,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def _wait_until_ready(state: Path, supervisor: subprocess.Popen[bytes] | None, console: Console) -> StackStatus:
    deadline = time.monotonic() + _UP_SECONDS
    told: set[str] = set()
    with console.status("Starting…") as spinner:
        while time.monotonic() < deadline:
            gone = supervisor is not None and supervisor.poll() is not None
            status = read(state)
            if status is not None and (supervisor is None or status.pid == supervisor.pid):
                if status.problem:
                    raise Problem(status.problem)
                if supervisor is not None:
                    _tell(status.parts, told, console)
                if failing := next((part for part in status.parts if part.stage is Stage.FAILING), None):
                    raise Problem(failing.message)
                if status.ready:
                    return status
                spinner.update("Starting " + ", ".join(part.name for part in status.parts if not part.fine) + "…")
            if gone:
                raise Problem(f"The supervisor ended ({last_lines(state / 'logs' / 'supervisor.log', 1)}).")
            if supervisor is None and not is_running(state):
                raise Problem("The stack was being stopped meanwhile: run the command again.")
            time.sleep(_LOOK_EVERY_SECONDS)
    raise Problem(f"The stack was not ready after {_UP_SECONDS:.0f} s: see the logs in {state / 'logs'}.")


def _tell(parts: Iterable[PartStatus], told: set[str], console: Console) -> None:
    for part in parts:
        if part.fine and part.name not in told:
            told.add(part.name)
            console.print(f"[green]✓[/green] {part.name:<10} {part.took_seconds or 0:.1f} s", highlight=False)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"
