"""How is one process kept running?"""

import asyncio
import contextlib
import signal
import time
from collections.abc import Callable
from pathlib import Path

from deploy.local.parts import ProcessSpec
from deploy.local.problem import Problem, last_lines
from deploy.local.process import birth_of, tethered
from deploy.local.status import PartStatus, Stage

_LOOK_EVERY_SECONDS = 0.1
#: Once it was ready. So many misses in a row, because a busy machine may answer late once.
_LOOK_AGAIN_SECONDS = 3.0
_MISSES = 2
_FIRST_PAUSE_SECONDS = 0.2
_LONGEST_PAUSE_SECONDS = 5.0
#: After so many starts in a row that did not get ready a person should look.
_PATIENCE = 4
_ROTATE_BYTES = 20 * 1024 * 1024


class Keeper:
    """Starts a process, restarts it when it ends, and stops it; `status` says how it is."""

    def __init__(self, spec: ProcessSpec, logs: Path, changed: Callable[[], None]) -> None:
        self.spec = spec
        self.status = PartStatus(spec.name, address=spec.address, stop_signal=spec.stop_signal)
        #: Set as soon as it was ready once, and from then on.
        self.was_ready = asyncio.Event()
        self._log = logs / f"{spec.name}.log"
        self._changed = changed
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = False
        self._failures = 0

    async def run(self) -> None:
        """Return when it was stopped, or ended and is not to be restarted."""
        rotate(self._log)
        while not self._stopping:
            try:
                await self._live_once()
            except Problem as problem:
                # It has been explained, and will not go away by itself.
                self._failures = max(self._failures, _PATIENCE - 1)
                self._fail(str(problem))
            except Exception as error:  # noqa: BLE001 - whatever it was, it is reported and tried again
                self._fail(f"{self.spec.name} can't be kept running ({type(error).__name__}: {error}).")
            if self._stopping:
                break
            if not self.spec.restart:
                self._enter(Stage.DONE)
                return
            self.status.restarts += 1
            pause = _FIRST_PAUSE_SECONDS * 2 ** min(self._failures, 10)
            await asyncio.sleep(min(pause, _LONGEST_PAUSE_SECONDS))
        self._enter(Stage.STOPPED)

    async def stop(self) -> None:
        """Ask it to end; by force when its time is over. It is not restarted."""
        self._stopping = True
        if self._process is None or self._process.returncode is not None:
            return
        self._enter(Stage.STOPPING)
        self._send(self.spec.stop_signal)
        try:
            async with asyncio.timeout(self.spec.stop_timeout_seconds):
                await self._process.wait()
        except TimeoutError:
            self._send(signal.SIGKILL)
            await self._process.wait()

    async def _live_once(self) -> None:
        self._enter(Stage.STARTING)
        began = time.monotonic()
        await asyncio.to_thread(self.spec.prepare)
        if self._stopping:
            return
        process = await self._spawn()
        try:
            ready = await self._wait_until_ready(process)
            if ready:
                self.status.took_seconds = round(time.monotonic() - began, 1)
                self._enter(Stage.READY)
                self.was_ready.set()
                await self._watch(process)
        finally:
            # Not ready in time, or nobody can tell: a second one beside it would be worse.
            if process.returncode is None:
                self._send(signal.SIGKILL)
                await process.wait()
            self.status.pid = self.status.birth = None
        if not self._stopping and self.spec.restart:
            if ready:
                self._failures = 0
            ended = "ended" if ready else "ended while starting"
            if not ready and process.returncode == -signal.SIGKILL:
                ended = f"was not ready after {self.spec.ready_timeout_seconds:.0f} s"
            self._fail(f"{self.spec.name} {ended} ({last_lines(self._log, 1)}): see {self._log}.")

    async def _spawn(self) -> asyncio.subprocess.Process:
        spec = self.spec
        command = tethered(spec.command(), folder=spec.folder, user=spec.user, death_signal=spec.death_signal)
        with self._log.open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *command,
                env=spec.environment(),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._process = process
        self.status.pid, self.status.birth = process.pid, birth_of(process.pid)
        self._enter(Stage.STARTING)
        return process

    async def _wait_until_ready(self, process: asyncio.subprocess.Process) -> bool:
        deadline = time.monotonic() + self.spec.ready_timeout_seconds
        while process.returncode is None and time.monotonic() < deadline and not self._stopping:
            # The first, because another program could answer on the same address.
            if await asyncio.to_thread(self.spec.is_ready) and process.returncode is None:
                return True
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_EVERY_SECONDS):
                    await process.wait()
        return False

    async def _watch(self, process: asyncio.subprocess.Process) -> None:
        """Until it ends: whether it is still ready, for whoever asks. It is not restarted for that."""
        misses = 0
        while process.returncode is None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_AGAIN_SECONDS):
                    await process.wait()
            # Whatever breaks in looking, the process lives.
            with contextlib.suppress(Exception):
                misses = 0 if await asyncio.to_thread(self.spec.is_ready) else misses + 1
            if self._stopping or process.returncode is not None:
                return
            if misses == 0 and self.status.stage is Stage.UNREADY:
                self._enter(Stage.READY)
            elif misses == _MISSES:
                self.status.message = f"{self.spec.name} runs and is not ready: see {self._log}."
                self._enter(Stage.UNREADY)

    def _fail(self, message: str) -> None:
        self._failures += 1
        self.status.message = message
        self._enter(Stage.FAILING if self._failures >= _PATIENCE else Stage.STARTING)

    def _enter(self, stage: Stage) -> None:
        if stage is Stage.READY:
            self.status.message = ""
        # What fails again and again is failing until it is ready, also while it starts once more.
        if stage is not Stage.STARTING or self._failures < _PATIENCE:
            self.status.stage, self.status.since = stage, time.time()
        self._changed()

    def _send(self, number: int) -> None:
        assert self._process is not None
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)


def rotate(log: Path) -> None:
    """Put a long log aside, over the one that was put aside before."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileNotFoundError):
        if log.stat().st_size > _ROTATE_BYTES:
            log.replace(log.with_suffix(".log.1"))
