"""How many certificates a second go from intake's outbox to a row at the registry, and what do the references do?"""

from collections.abc import Sequence
from typing import Final

from schemas.applications import ApplicationSubmitted
from tests.bench.report import Figure, progress
from tests.bench.rounds import Round, measure
from tests.bench.sides import Ours, Reference, Side, applications
from tests.bench.stand import BARE, JAVA, TEXTBOOK, Stand, has_java_compiler, running_stand

#: Connections and statements are made before the first round that counts; Java compiles.
_WARM_UP: Final = 1000
#: Before each turn: who was frozen has lost its place in its group, and the session of its relay.
_THAW: Final = 500
#: One message at a time: a round of the others' length would take a minute.
_TEXTBOOK_SHORTER: Final = 10
_ASKED: Final = {BARE: "≥ 0.7", TEXTBOOK: "≥ 10", JAVA: "≥ 1"}
#: What is told of CPU: label, and which processes.
_CPU: Final = (("own processes", "processes"), ("PostgreSQL", "postgres"), ("Kafka", "kafka"), ("all", "all"))


async def flow(count: int, rounds: int) -> Sequence[Figure]:
    """Rounds of every side in turns. Raises `Wrong` when a certificate is missing, doubled or strange."""
    references = [BARE, TEXTBOOK, *([JAVA] if has_java_compiler() else [])]
    async with running_stand(references=references) as stand, stand.connected() as connections:
        sides: list[Side] = [
            Ours(connections),
            *(
                Reference(name, connections[name], shorter=_TEXTBOOK_SHORTER if name == TEXTBOOK else 1)
                for name in references
            ),
        ]
        done: dict[str, list[Round]] = {side.name: [] for side in sides}
        for number in range(rounds + 1):
            events = applications(count if number else min(count, _WARM_UP))
            for side in sides:
                with stand.alone(*side.parts):
                    finished = await _turn(side, stand, events)
                if number:
                    done[side.name].append(finished)
                    progress.print(f"round {number} of {rounds}, {side.name}: {finished.per_second:,.0f} a second")
    return _figures(done)


async def encrypted(count: int, rounds: int) -> Sequence[Figure]:
    """The flow where all parts speak TLS with each other, beside one where they don't, each on a stack of its own."""
    async with (
        running_stand(tls=True) as inside,
        running_stand() as outside,
        inside.connected() as connections_inside,
        outside.connected() as connections_outside,
    ):
        sides = {
            "with TLS": (Ours(connections_inside), inside, outside),
            "without": (Ours(connections_outside), outside, inside),
        }
        done: dict[str, list[Round]] = {name: [] for name in sides}
        for number in range(rounds + 1):
            events = applications(count if number else min(count, _WARM_UP))
            for name, (side, stand, other) in sides.items():
                with other.alone():
                    finished = await _turn(side, stand, events)
                if number:
                    done[name].append(finished)
                    progress.print(f"round {number} of {rounds}, {name}: {finished.per_second:,.0f} a second")
    return _figures(done)


async def _turn(side: Side, stand: Stand, events: Sequence[ApplicationSubmitted]) -> Round:
    await measure(side, stand, applications(_THAW // side.shorter))
    return await measure(side, stand, events[: max(1, len(events) // side.shorter)])


def _figures(done: dict[str, list[Round]]) -> list[Figure]:
    ours, *others = done
    figures = [
        Figure(
            "certificates/s, outbox → registry row",
            _per_second(done[ours]),
            name,
            _per_second(done[name]),
            _ASKED.get(name, ""),
        )
        for name in others
    ]
    for label, part in _CPU:
        if part not in done[ours][0].cpu:
            continue
        of_part = [(name, _cpu_ms(rounds, part)) for name, rounds in done.items()]
        figures += [
            Figure(f"CPU ms a certificate, {label}", of_part[0][1], name, theirs) for name, theirs in of_part[1:]
        ]
    return figures + [
        Figure(f"CPU ms a certificate, {part}", _cpu_ms(done[ours], part))
        for part in ("intake", "issuer", "registry")
        if part in done[ours][0].cpu
    ]


def _per_second(rounds: Sequence[Round]) -> list[float]:
    return [one.per_second for one in rounds]


def _cpu_ms(rounds: Sequence[Round], part: str) -> list[float]:
    return [one.cpu[part] / one.count * 1000 for one in rounds]
