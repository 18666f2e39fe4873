"""How many certificates a second go from outbox to registry here, and what would a hand-written loop do?

`python -m tests.bench` (or `make bench`) prints a table and, last, the same as one line of JSON. The two sides take
turns, so that whatever else the machine does falls on both. Ends with 1 when a certificate is missing or one too many.
"""

import argparse
import asyncio
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from statistics import median
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from deploy.local.problem import Problem
from tests.bench.rounds import Round, Wrong, measure
from tests.bench.sides import HandWritten, Ours, Side, applications
from tests.bench.stand import running_stand

#: Connections, statements and group memberships are made before the first round that counts.
_WARM_UP: Final = 500
#: No round begins that would end later than this. Stopping everything takes a few seconds more.
_ENOUGH_SECONDS: Final = 165

#: Name in the table, name in the JSON, where to look.
RATES: Final[Sequence[tuple[str, str, Callable[[Round], float]]]] = (
    ("outbox → registry", "per_second", lambda done: done.per_second),
    ("  outbox → issuer's rows", "to_issuer_per_second", lambda done: done.to_middle_per_second),
    ("  certificates.v1 → registry", "from_topic_per_second", lambda done: done.from_topic_per_second),
)
CPU: Final = (("own processes", "processes"), ("PostgreSQL", "postgres"), ("Kafka", "kafka"), ("all", "all"))

messages = Console(stderr=True, highlight=False)


async def bench(count: int, rounds: int) -> dict[str, list[Round]]:
    """Rounds of each side, interleaved; fewer than asked for, but at least one, when they take too long."""
    began = time.monotonic()
    messages.print("Starting broker, database, our services and the loop …")
    async with running_stand() as stand, stand.connected() as connections:
        sides: list[Side] = [Ours(connections), HandWritten(connections)]
        warm_up = applications(min(count, _WARM_UP))
        for side in sides:
            await measure(side, stand, warm_up)
        done: dict[str, list[Round]] = {side.name: [] for side in sides}
        slowest = 0.0
        for number in range(rounds):
            round_began = time.monotonic()
            if number and round_began + slowest > began + _ENOUGH_SECONDS:
                messages.print(f"The machine is busy: {number} of {rounds} rounds must do.")
                break
            events = applications(count)
            for side in sides:
                finished = await measure(side, stand, events)
                done[side.name].append(finished)
                messages.print(
                    f"round {number + 1} of {rounds}, {side.name}: {count:,} in {finished.end:.2f} s, "
                    f"{finished.per_second:,.0f} a second"
                )
            slowest = max(slowest, time.monotonic() - round_began)
        return done


def summary(done: dict[str, list[Round]], count: int) -> dict[str, Any]:
    """Medians of every figure, and what ours is of the other's."""
    ours, theirs = (_medians(done[name]) for name in (Ours.name, HandWritten.name))
    return {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpus": os.cpu_count(),
        "count": count,
        "rounds": len(done[Ours.name]),
        "seconds": {name: [round(one.end, 3) for one in rounds] for name, rounds in done.items()},
        "ours": ours,
        "hand_written": theirs,
        "ratio": {name: _rounded(ours[name] / theirs[name]) for name in ours if theirs.get(name)},
    }


def table_of(found: dict[str, Any]) -> Table:
    table = Table(
        title=f"Certificates a second: {found['count']:,} a round, medians of {found['rounds']}, {found['cpus']} CPUs",
        title_justify="left",
    )
    for column in ("", "ours", "hand-written", "ratio"):
        table.add_column(column, justify="left" if not column else "right")
    for label, name, _ in RATES:
        _add_row(table, label, name, found, lambda rate: f"{rate:,.0f}")
    table.add_section()
    for label, name in CPU:
        _add_row(table, f"CPU ms each, {label}", f"cpu_ms_{name}", found, lambda used: f"{used:.2f}")
    return table


def _add_row(table: Table, label: str, name: str, found: dict[str, Any], shown: Callable[[float], str]) -> None:
    if name in found["ours"]:
        figures = (shown(found["ours"][name]), shown(found["hand_written"][name]))
        table.add_row(label, *figures, str(found["ratio"].get(name, "")))


def _medians(rounds: Sequence[Round]) -> dict[str, float]:
    found = {name: _rounded(median(rate(one) for one in rounds)) for _, name, rate in RATES}
    for name in rounds[0].cpu:
        found[f"cpu_ms_{name}"] = _rounded(median(one.cpu[name] / one.count * 1000 for one in rounds))
    return found


def _rounded(figure: float) -> float:
    return float(f"{figure:.3g}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--count", type=int, default=5000, help="certificates in a round (%(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each side (%(default)s)")
    chosen = parser.parse_args()
    if chosen.count < 1 or chosen.rounds < 1:
        parser.error("at least one certificate and one round")
    try:
        found = summary(asyncio.run(bench(chosen.count, chosen.rounds)), chosen.count)
    except (Problem, Wrong) as problem:
        sys.exit(str(problem))
    Console(highlight=False).print(table_of(found))
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
