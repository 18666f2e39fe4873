"""How fast is it here, beside others that do the same work with the same durability?

`python -m tests.bench` (or `make bench`) measures everything, `make bench ARGS='flow replay'` some of it. Prints a table
for each and, last, everything as one line of JSON. The sides take turns, so that whatever else the machine does falls on
all. Ends with 1 when something was lost, doubled or wrong: no time counts then.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final

from rich.console import Console

from deploy.local.problem import Problem
from tests.bench.documents import drawing_and_signing
from tests.bench.flow import encrypted, flow
from tests.bench.growth import growth
from tests.bench.latency import latency
from tests.bench.mails import mailing
from tests.bench.processes import memory, processes
from tests.bench.replay import replaying
from tests.bench.report import Figure, document_of, progress, table_of
from tests.bench.requests import accepting, looking_up
from tests.bench.rounds import Wrong
from tests.bench.scaling import scaling

Measured = Callable[[int, int], Coroutine[Any, Any, Sequence[Figure]]]
#: Name, title, what measures it, and how many of whatever it counts make a round.
FIGURES: Final[dict[str, tuple[str, Measured, int]]] = {
    "flow": ("The flow, outbox to registry row", flow, 5000),
    "tls": ("The flow with TLS between all parts", encrypted, 5000),
    "accept": ("Intake's HTTP API", accepting, 2000),
    "latency": ("From accepted to seen and mailed, at half load", latency, 500),
    "mails": ("Letters that are due", mailing, 1000),
    "replay": ("Rebuilding the registry", replaying, 5000),
    "documents": ("Documents", drawing_and_signing, 100),
    "lookup": ("Looking up by number and key", looking_up, 2000),
    "scaling": ("More issuers, with a credit check of 50 ms", scaling, 20_000),
    "growth": ("With much stored already", growth, 100_000),
    "processes": ("What the services take", processes, 5000),
    "memory": ("What the services take in the long run", memory, 5000),
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("figures", nargs="*", metavar="FIGURE", help=f"of {', '.join(FIGURES)}; without any, all")
    parser.add_argument("--count", type=int, help="how many make a round")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each side (%(default)s)")
    chosen = parser.parse_args()
    if (chosen.count is not None and chosen.count < 1) or chosen.rounds < 1:
        parser.error("at least one, and one round")
    if unknown := set(chosen.figures) - set(FIGURES):
        parser.error(f"there is no figure named {', '.join(sorted(unknown))}: choose of {', '.join(FIGURES)}")
    found: dict[str, Sequence[Figure]] = {}
    for name in chosen.figures or FIGURES:
        title, measured, count = FIGURES[name]
        progress.print(f"{title} …")
        try:
            found[name] = asyncio.run(measured(chosen.count or count, chosen.rounds))
        except (Problem, Wrong) as problem:
            sys.exit(f"{name}: {problem}")
        Console(highlight=False, width=140).print(table_of(title, found[name]))
    sys.stdout.write(json.dumps(document_of(found), ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
