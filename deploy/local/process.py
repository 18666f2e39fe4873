"""How is a program of the local stack started, recognised and stopped?"""

import os
import signal
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from pathlib import Path
from types import TracebackType
from typing import Self

from deploy.local.problem import Problem, last_lines

_TETHER = Path(__file__).with_name("tether.py")
_LOOK_EVERY_SECONDS = 0.05


def tethered(
    command: list[str], *, folder: Path, user: str | None = None, death_signal: int = signal.SIGKILL
) -> list[str]:
    """The command that runs `command` as `user` in `folder`, never longer than the calling process."""
    head = [sys.executable, "-I", "-S", str(_TETHER)]
    return [*head, str(os.getpid()), str(int(death_signal)), user or "-", str(folder), *command]


def birth_of(pid: int) -> str | None:
    """What tells this process from a later one with the same pid; None when there is none (a zombie counts as none)."""
    if sys.platform == "linux":
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return None
        return None if fields[0] in "ZX" else fields[19]
    shown = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return shown.stdout.strip() or None


def end(pid: int, birth: str | None, *, stop_signal: int = signal.SIGTERM, timeout_seconds: float = 10) -> None:
    """Stop the process known by pid and birth, by force when it takes too long; nothing happens to any other."""
    if birth is None:
        return
    for attempt, patience in ((stop_signal, timeout_seconds), (signal.SIGKILL, 5.0)):
        if birth_of(pid) != birth:
            return
        try:
            os.kill(pid, attempt)
        except ProcessLookupError:
            return
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline and birth_of(pid) == birth:
            time.sleep(_LOOK_EVERY_SECONDS)


class LocalProcess(ABC):
    """A server with its state in one folder and its port on 127.0.0.1; also a context manager.

    Its state survives `kill` and `stop`; `start` continues with it, on the same port or on another.
    """

    name: str
    user: str | None = None
    stop_signal: int = signal.SIGTERM
    #: Sent to it when the process that started it dies.
    death_signal: int = signal.SIGKILL
    ready_timeout_seconds: float = 90
    stop_timeout_seconds: float = 30

    def __init__(self, state: Path, port: int) -> None:
        self.state = state.resolve()
        self.port = port
        self._running: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def command(self) -> list[str]:
        """What to run, after `prepare`."""

    @abstractmethod
    def environment(self) -> dict[str, str]:
        """The whole environment it runs in."""

    @abstractmethod
    def prepare(self) -> None:
        """Make it startable: to be called before every start, also after a crash."""

    @abstractmethod
    def is_ready(self) -> bool:
        """Whether it serves requests now; answers within about a second."""

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        """Where `start` sends its output. A supervisor uses a file of its own."""
        return self.state / f"{self.name}.log"

    @property
    def pid(self) -> int:
        """The pid of what `start` started."""
        assert self._running is not None, f"{self.name} was not started"
        return self._running.pid

    def start(self) -> None:
        """Return when it is ready; otherwise Problem, and it does not run.

        It ends with the *thread* that starts it: call this from one that lasts, such as the main thread.
        """
        self.prepare()
        command = tethered(self.command(), folder=self.state, user=self.user, death_signal=self.death_signal)
        with self.log.open("ab") as log:
            self._running = subprocess.Popen(
                command,
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # The terminal's Ctrl-C is for the one that started it, which then stops it in order.
                start_new_session=True,
            )
        deadline = time.monotonic() + self.ready_timeout_seconds
        while not self.is_ready():
            ended = self._running.poll() is not None
            if ended or time.monotonic() > deadline:
                self.kill()
                what = "ended while starting" if ended else f"was not ready after {self.ready_timeout_seconds:.0f} s"
                raise Problem(f"{self.name} {what} ({last_lines(self.log)}): see {self.log}.")
            time.sleep(_LOOK_EVERY_SECONDS)

    def stop(self) -> None:
        """Ask it to end and wait; by force when it takes too long."""
        if self._running is None:
            return
        self._running.send_signal(self.stop_signal)
        try:
            self._running.wait(self.stop_timeout_seconds)
        except subprocess.TimeoutExpired:
            self._running.kill()
            self._running.wait()
        self._running = None

    def kill(self) -> None:
        """End it at once, as a crash would."""
        if self._running is not None:
            self._running.kill()
            self._running.wait()
            self._running = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
