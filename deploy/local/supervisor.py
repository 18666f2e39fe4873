"""Who keeps the stack running? One process that starts its parts in order, restarts them, and stops them in reverse.

Run as `python -m deploy.local.supervisor --state DIR [--without NAME]... [--tls]`; ends on SIGTERM or SIGINT.
"""

import argparse
import asyncio
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from deploy.local import status as stack_status
from deploy.local.keeper import Keeper
from deploy.local.parts import Part, ProcessSpec, StepSpec
from deploy.local.problem import Problem
from deploy.local.process import birth_of
from deploy.local.stack import stack
from deploy.local.state import choose_ports, open_state
from deploy.local.status import PartStatus, StackStatus, Stage

_STEP_PAUSE_SECONDS = 1.0
#: After so many failures in a row a person should look.
_STEP_PATIENCE = 3


class Supervisor:
    """The parts of one stack. `stack.json` in the state always says how they are."""

    def __init__(self, state: Path, parts: Sequence[Part], *, tls: bool = False) -> None:
        self._state = state
        self._parts = {part.name: part for part in parts}
        self._keepers = {
            part.name: Keeper(part, state / "logs", self._note) for part in parts if isinstance(part, ProcessSpec)
        }
        self._steps = {part.name: PartStatus(part.name) for part in parts if isinstance(part, StepSpec)}
        self._reached = {
            name: self._keepers[name].was_ready if name in self._keepers else asyncio.Event() for name in self._parts
        }
        self._running: dict[str, asyncio.Task[None]] = {}
        self.status = StackStatus(os.getpid(), birth_of(os.getpid()), tls=tls)
        self.status.parts = [
            self._keepers[name].status if name in self._keepers else self._steps[name] for name in self._parts
        ]

    def start(self) -> None:
        """Begin to start everything; each part waits for those it comes after."""
        self._note()
        self._running = {name: asyncio.create_task(self._run(part), name=name) for name, part in self._parts.items()}

    async def until_ready(self) -> None:
        """Return when every part was ready, or done, once."""
        for reached in self._reached.values():
            await reached.wait()

    async def stop(self) -> None:
        """Stop everything, each part only after those that needed it."""
        for name, task in self._running.items():
            # Neither waiting for its turn nor a step: these have nothing to stop in an orderly way.
            if name in self._steps or self._keepers[name].status.stage is Stage.WAITING:
                task.cancel()
        stopped = {name: asyncio.Event() for name in self._parts}

        async def stop_in_turn(name: str) -> None:
            for other in self._parts.values():
                if name in other.after:
                    await stopped[other.name].wait()
            if name in self._keepers:
                await self._keepers[name].stop()
            stopped[name].set()

        await asyncio.gather(*(stop_in_turn(name) for name in self._parts))
        for task in self._running.values():
            # Those that paused before a restart.
            task.cancel()
        await asyncio.gather(*self._running.values(), return_exceptions=True)
        for part in self.status.parts:
            part.stage, part.pid, part.birth = Stage.STOPPED, None, None
        self._note()

    async def _run(self, part: Part) -> None:
        for name in part.after:
            if name in self._reached:
                await self._reached[name].wait()
        if isinstance(part, ProcessSpec):
            await self._keepers[part.name].run()
        else:
            await self._do(part)

    async def _do(self, step: StepSpec) -> None:
        status, began, failures = self._steps[step.name], time.monotonic(), 0
        status.stage, status.since = Stage.STARTING, time.time()
        self._note()
        while True:
            try:
                await step.run()
            except Exception as error:  # noqa: BLE001 - whatever it was, it is reported and tried again
                failures += 1
                status.message = f"{step.name} failed ({type(error).__name__}: {error})."
                if failures >= _STEP_PATIENCE:
                    status.stage = Stage.FAILING
                print(status.message, file=sys.stderr, flush=True)
                self._note()
                await asyncio.sleep(_STEP_PAUSE_SECONDS)
            else:
                break
        status.stage, status.since, status.message = Stage.DONE, time.time(), ""
        status.took_seconds = round(time.monotonic() - began, 1)
        self._reached[step.name].set()
        self._note()

    def _note(self) -> None:
        try:
            stack_status.write(self._state, self.status)
        except OSError as error:
            # A full disk ends no part: what changes next is told again.
            print(f"The status could not be written ({error}).", file=sys.stderr, flush=True)


async def supervise(state: Path, parts: Sequence[Part], *, tls: bool = False) -> None:
    """Run the parts until SIGTERM or SIGINT."""
    told_to_stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, told_to_stop.set)
    supervisor = Supervisor(state, parts, tls=tls)
    supervisor.start()
    try:
        await told_to_stop.wait()
    finally:
        await supervisor.stop()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m deploy.local.supervisor")
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--without", action="append", default=[], metavar="NAME")
    parser.add_argument("--tls", action="store_true")
    chosen = parser.parse_args()
    # Logs, mails and messages are for the one who runs the stack.
    os.umask(0o077)
    try:
        state = open_state(chosen.state.resolve())
        with stack_status.sole_supervisor(state):
            try:
                stack_status.end_leftovers(state)
                parts = stack(state, choose_ports(state), without=chosen.without, tls=chosen.tls)
                asyncio.run(supervise(state, parts, tls=chosen.tls))
            except Problem as problem:
                own = os.getpid()
                stack_status.write(state, StackStatus(own, birth_of(own), problem=str(problem)))
                raise
    except Problem as problem:
        sys.exit(str(problem))


if __name__ == "__main__":
    main()
