"""Does it get slower when much is stored already?"""

from collections.abc import Sequence
from typing import Final

from tests.bench.report import Figure, progress
from tests.bench.rounds import measure
from tests.bench.sides import Ours, applications
from tests.bench.stand import running_stand

#: Certificates in a measured round, and in one that only fills.
_ROUND: Final = 5000
_FILL: Final = 20_000


async def growth(count: int, rounds: int) -> Sequence[Figure]:
    """Rates of rounds of 5,000 on nearly empty tables, and when `count` certificates are stored."""
    async with running_stand() as stand, stand.connected() as connections:
        ours = Ours(connections, keeps=True)
        await measure(ours, stand, applications(_ROUND))
        empty = [await measure(ours, stand, applications(_ROUND)) for _ in range(rounds)]
        while (stored := await ours.stored()) < count:
            await measure(ours, stand, applications(min(_FILL, count - stored)))
            progress.print(f"{await ours.stored():,} of {count:,} stored")
        full = [await measure(ours, stand, applications(_ROUND)) for _ in range(rounds)]
    told = f"{count:,} stored"
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
    ]
