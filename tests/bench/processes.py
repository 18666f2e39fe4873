"""What does each service take of the machine: to start, doing nothing, and with much to do?"""

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from deploy.local.stack import SERVICES
from deploy.local.status import Stage
from schemas.applications import ApplicationSubmitted
from tests.bench.report import Figure, progress
from tests.bench.sides import Ours, applications, many_applications
from tests.bench.stand import Stand, running_stand
from tests.support.waiting import eventually

_IDLE_SECONDS: Final = 20.0
_LOOK_EVERY_SECONDS: Final = 0.2
_SETTLE_SECONDS: Final = 300


async def processes(count: int, rounds: int) -> Sequence[Figure]:
    """Seconds from start to ready, CPU while idle, memory idle and while so many certificates go through."""
    together: dict[str, list[float]] = {name: [] for name in SERVICES}
    started: dict[str, list[float]] = {name: [] for name in SERVICES}
    idle: dict[str, list[float]] = {name: [] for name in SERVICES}
    resting: dict[str, list[float]] = {name: [] for name in SERVICES}
    loaded: dict[str, list[float]] = {name: [] for name in SERVICES}
    for number in range(rounds):
        async with running_stand(without=("witness",)) as stand, stand.connected() as connections:
            for part in stand.supervisor.status.parts:
                if part.name in SERVICES:
                    together[part.name].append(part.took_seconds or 0.0)
            before = {name: stand.cpu_seconds(name) or 0.0 for name in SERVICES}
            await asyncio.sleep(_IDLE_SECONDS)
            for name in SERVICES:
                idle[name].append(((stand.cpu_seconds(name) or 0.0) - before[name]) / _IDLE_SECONDS * 100)
                resting[name].append(_megabytes(stand, name))
            for name in SERVICES:
                started[name].append(await _restarted(stand, name))
            for name, peak in (await _peaks(stand, Ours(connections), applications(count))).items():
                loaded[name].append(peak)
        progress.print(f"round {number + 1} of {rounds}")
    return [
        Figure(f"{what}, {name}", figures[name], asked=asked)
        for what, figures, asked in (
            ("s from start to ready", started, "≤ 2"),
            ("s from start to ready, all at once", together, ""),
            ("% of a core while idle", idle, "≤ 1"),
            ("MB while idle", resting, "≤ 120"),
            (f"MB at most, {count:,} certificates", loaded, "bounded"),
        )
        for name in SERVICES
    ]


async def memory(count: int, rounds: int) -> Sequence[Figure]:
    """Megabytes at most while so many certificates go through, twice as many rounds after each other in one life of the
    services: the second half of them beside the first. A round before both fills what fills once.
    """
    peaks: list[dict[str, float]] = []
    async with running_stand(without=("witness",)) as stand, stand.connected() as connections:
        ours = Ours(connections, keeps=True)
        for number in range(1 + 2 * rounds):
            peaks.append(await _peaks(stand, ours, many_applications(count)))
            told = ", ".join(f"{name} {peak:.0f}" for name, peak in peaks[-1].items())
            progress.print(f"round {number} of {2 * rounds}: {told} MB")
            await ours.clear()
    return [
        Figure(
            f"MB at most, {name}: of {2 * count * rounds:,} certificates the second half",
            [peak[name] for peak in peaks[1 + rounds :]],
            "the first half",
            [peak[name] for peak in peaks[1 : 1 + rounds]],
            "≤ 1.1",
        )
        for name in SERVICES
    ]


async def _peaks(stand: Stand, ours: Ours, events: Sequence[ApplicationSubmitted]) -> dict[str, float]:
    """Megabytes at most of each service until all have their certificates."""
    await ours.fill(events)
    peaks = dict.fromkeys(SERVICES, 0.0)

    async def settled() -> bool:
        for name in SERVICES:
            peaks[name] = max(peaks[name], _megabytes(stand, name))
        return await ours.is_settled(len(events))

    await eventually(settled, _SETTLE_SECONDS, every_seconds=_LOOK_EVERY_SECONDS)
    return peaks


async def _restarted(stand: Stand, name: str) -> float:
    """Seconds from start to ready, beside others that have little to do."""
    part = stand.supervisor.status.part(name)
    before = stand.pid(name)
    os.kill(before, signal.SIGTERM)
    await eventually(lambda: part.pid not in (before, None) and part.stage is Stage.READY, _SETTLE_SECONDS)
    return part.took_seconds or 0.0


def _megabytes(stand: Stand, name: str) -> float:
    """Resident, of the service's process. 0 where the machine doesn't tell."""
    pid = stand.supervisor.status.part(name).pid
    if sys.platform != "linux" or pid is None:
        return 0.0
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024
