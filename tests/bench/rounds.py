"""How long does a round take, and did everything arrive, once?"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from schemas.applications import ApplicationSubmitted
from tests.bench.sides import Side
from tests.bench.stand import Stand

#: Short beside a round, and cheap: a count of few rows.
_LOOK_EVERY_SECONDS: Final = 0.02
#: A round slower than this per second has come to a stop.
_SLOWEST_PER_SECOND: Final = 20
SERVERS: Final = ("postgres", "kafka")


class Wrong(Exception):
    """Something was lost, doubled or stood still: no time counts then."""


@dataclass(frozen=True)
class Round:
    """What was measured, in seconds since the commit to the first outbox."""

    side: str
    count: int
    #: All rows at the end: the registry's.
    end: float
    #: CPU from the commit until nothing was left to do: by process, of the side's own together, and of all.
    #: Nothing where the machine doesn't tell.
    cpu: dict[str, float]

    @property
    def per_second(self) -> float:
        return self.count / self.end


async def measure(side: Side, stand: Stand, events: Sequence[ApplicationSubmitted]) -> Round:
    """Let one side do its work, check it, and clear it away. Raises `Wrong`."""
    count = len(events)
    begins = await stand.ends(side.certificates)
    before = _cpu(side, stand)
    began = await side.fill(events)
    deadline = began + 30 + count / _SLOWEST_PER_SECOND
    end = 0.0
    while not end:
        at_end = await side.arrived()
        now = time.monotonic()
        if at_end >= count:
            end = now - began
        elif now > deadline:
            raise Wrong(f"{side.name}: after {now - began:.0f} s, {at_end} of {count} arrived")
        else:
            await asyncio.sleep(_LOOK_EVERY_SECONDS)
    while not await side.is_settled(count):
        if time.monotonic() > deadline:
            raise Wrong(f"{side.name}: it never came to rest")
        await asyncio.sleep(_LOOK_EVERY_SECONDS)
    after = _cpu(side, stand)
    told = await stand.written_since(begins)
    await _check(side, stand, await side.faults(events, told))
    await side.clear()
    return Round(
        side=side.name,
        count=count,
        end=end,
        cpu={name: after[name] - before[name] for name in after},
    )


async def _check(side: Side, stand: Stand, faults: Sequence[str]) -> None:
    found = list(faults)
    if parked := await stand.dead_letters():
        found.append(f"{parked} records were parked")
    if restarts := stand.restarts():
        found.append(f"parts ended by themselves, {restarts} times")
    if found:
        raise Wrong(f"{side.name}: {'; '.join(found)}")


def _cpu(side: Side, stand: Stand) -> dict[str, float]:
    together = {"processes": side.parts, "all": (*side.parts, *SERVERS)}
    asked = together | {part: (part,) for part in together["all"]}
    used = {name: stand.cpu_seconds(*parts) for name, parts in asked.items()}
    return {name: seconds for name, seconds in used.items() if seconds is not None}
