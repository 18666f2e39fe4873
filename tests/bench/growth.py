"""Does it get slower when much is stored already?"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from operator import attrgetter
from typing import Final
from uuid import UUID

from tests.bench.latency import Times, each, two, until_viewable
from tests.bench.report import Figure, progress
from tests.bench.rounds import SERVERS, measure
from tests.bench.sides import Connections, Ours, many_applications
from tests.bench.stand import Stand, running_stand
from tests.support.waiting import eventually

#: Certificates in a measured round, and in one that only fills.
_ROUND: Final = 5000
_FILL: Final = 20_000
_FILL_SECONDS: Final = 300
#: Applications of a wave, and how many come in a second: far less than any machine sustains.
_WAVE: Final = 400
_PER_SECOND: Final = 40


async def growth(count: int, rounds: int) -> Sequence[Figure]:
    """Rounds of 5,000 on nearly empty tables, and when `count` certificates are stored; and what filling up came to."""
    async with running_stand() as stand, two(stand) as (connections, watching):
        ours = Ours(connections, keeps=True)
        contractor = await stand.running.contractor("bench")
        bearer = {"Authorization": f"Bearer {contractor.token}"}

        async def wave(number: int) -> Times:
            leaves = 2 * await ours.stored()
            accepted, seen = await until_viewable(
                stand, watching["registry"], bearer, _WAVE, _PER_SECOND, wave=number, stored=leaves
            )
            ours.asked = [UUID(one) for one in accepted]
            await eventually(partial(ours.is_settled, _WAVE))
            await ours.clear()
            return {one: seen[one] - at for one, (at, _) in accepted.items()}

        await measure(ours, stand, many_applications(_ROUND))
        await wave(0)
        await _tidy(connections)
        empty = [await measure(ours, stand, many_applications(_ROUND)) for _ in range(rounds)]
        soon = [await wave(1 + number) for number in range(rounds)]
        filled = await _fill_up(ours, stand, count)
        await _tidy(connections)
        full = [await measure(ours, stand, many_applications(_ROUND)) for _ in range(rounds)]
        late = [await wave(1 + rounds + number) for number in range(rounds)]
    told = f"{count:,} stored"
    fifth = -(-len(filled) // 5)
    return [
        Figure(
            f"certificates/s, {told}",
            [r.per_second for r in full],
            "the first 20,000",
            [r.per_second for r in empty],
            "≥ 0.8",
        ),
        Figure(
            f"CPU ms a certificate, {told}",
            [r.cpu.get("all", 0.0) / r.count * 1000 for r in full],
            "the first 20,000",
            [r.cpu.get("all", 0.0) / r.count * 1000 for r in empty],
            "≤ 1.2",
        ),
        *(
            Figure(
                f"ms from accepted to viewable at {_PER_SECOND} a second, {name}, {told}",
                each(late, permille),
                "the first 20,000",
                each(soon, permille),
                "≤ 1.2",
            )
            for name, permille in {"p50": 500, "p99": 990}.items()
        ),
        *(
            Figure(
                what,
                [value(part) for part in filled[-fifth:]],
                "the first fifth",
                [value(part) for part in filled[:fifth]],
                asked,
            )
            for what, value, asked in (
                (
                    f"certificates/s while filling up to {count:,}, vacuum and all, the last fifth",
                    attrgetter("per_second"),
                    "≥ 0.8",
                ),
                ("… CPU ms a certificate", attrgetter("cpu_ms"), "≤ 1.2"),
            )
            if filled
        ),
    ]


@dataclass(frozen=True)
class _Filled:
    """What one part of filling up came to, vacuums that it set off included."""

    per_second: float
    cpu_ms: float


async def _fill_up(ours: Ours, stand: Stand, count: int) -> list[_Filled]:
    """One part after the other, looked through in the measured rounds only. The next come before the last are done.

    The first of them had nothing before it, and is not told.
    """
    parts: list[_Filled] = []
    stored = asked = await ours.stored()
    began, used = time.monotonic(), _cpu_seconds(stand)
    while stored < count:
        if more := min(_FILL, count - asked):
            await ours.fill(many_applications(more))
            asked += more
        await eventually(partial(_has, ours, asked - _FILL // 2 if asked < count else count), _FILL_SECONDS)
        now, have, cpu = time.monotonic(), await ours.stored(), _cpu_seconds(stand)
        parts.append(_Filled((have - stored) / (now - began), (cpu - used) / (have - stored) * 1000))
        stored, began, used = have, now, cpu
        progress.print(f"{stored:,} of {count:,} stored, {parts[-1].per_second:,.0f} a second")
    await eventually(partial(ours.is_settled, len(ours.asked)), _FILL_SECONDS)
    await ours.clear()
    return parts[1:]


async def _has(ours: Ours, count: int) -> bool:
    return await ours.stored() >= count


def _cpu_seconds(stand: Stand) -> float:
    return stand.cpu_seconds(*Ours.parts, *SERVERS) or 0.0


async def _tidy(connections: Connections) -> None:
    """What was left to a vacuum is done: no round pays for others."""
    for name in Ours.parts:
        await connections[name].execute("VACUUM (ANALYZE)")
