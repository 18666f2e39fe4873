"""Does it get slower when much is stored already?"""

from collections.abc import Sequence
from functools import partial
from typing import Final
from uuid import UUID

from tests.bench.latency import Times, each, two, until_viewable
from tests.bench.report import Figure, progress
from tests.bench.rounds import measure
from tests.bench.sides import Ours, applications
from tests.bench.stand import running_stand
from tests.support.waiting import eventually

#: Certificates in a measured round, and in one that only fills.
_ROUND: Final = 5000
_FILL: Final = 20_000
_FILL_SECONDS: Final = 300
#: Applications of a wave, and how many come in a second: far less than any machine sustains.
_WAVE: Final = 400
_PER_SECOND: Final = 40
#: Of one surety, by how many numbers each may give in a year: 700,000 together.
_OFFICES: Final = (
    *[("tokyo", "mlit"), ("tochigi", "tochigi")] * 2,
    *[("ibaraki", "omitama"), ("aomori", "nambu-aomori"), ("chiba", "shirako")],
)
_applications: Final = partial(applications, contractors=1000, offices=_OFFICES)


async def growth(count: int, rounds: int) -> Sequence[Figure]:
    """Rates of rounds of 5,000 on nearly empty tables, and when `count` certificates are stored."""
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

        await measure(ours, stand, _applications(_ROUND))
        await wave(0)
        empty = [await measure(ours, stand, _applications(_ROUND)) for _ in range(rounds)]
        soon = [await wave(1 + number) for number in range(rounds)]
        await _fill_up(ours, count)
        full = [await measure(ours, stand, _applications(_ROUND)) for _ in range(rounds)]
        late = [await wave(1 + rounds + number) for number in range(rounds)]
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
    ]


async def _fill_up(ours: Ours, count: int) -> None:
    """Unmeasured, and looked through in the measured rounds only. The next come before the last are done."""
    filled = await ours.stored()
    while filled < count:
        more = min(_FILL, count - filled)
        await ours.fill(_applications(more))
        filled += more
        await eventually(partial(_has, ours, filled - _FILL // 2), _FILL_SECONDS)
        await ours.clear()
        progress.print(f"{await ours.stored():,} of {count:,} stored")
    await eventually(partial(_has, ours, count), _FILL_SECONDS)
    await eventually(partial(ours.is_settled, len(ours.asked)), _FILL_SECONDS)
    await ours.clear()


async def _has(ours: Ours, count: int) -> bool:
    return await ours.stored() >= count
