"""How is shown whether the services agree: lines for people, JSON for programs, gauges for alarms?"""

import asyncio
import json
import signal
import sys

from console.audit.reconcile_reading import Reconciliation, reconcile
from console.audit.reconcile_watch import Gauges
from console.audit.reconcile_watch import watch as keep_looking
from console.environment import Stack, find_reference
from console.output import print_json


async def look_once(stack: Stack, older_than: float, *, as_json: bool) -> bool:
    """Compare once and show what was found; whether they agree."""
    found = await reconcile(stack, find_reference(), older_than_seconds=older_than)
    if as_json:
        print_json(found.as_json())
    else:
        print_found(found)
    return found.agree


async def watch(
    stack: Stack, older_than: float, *, every: float, metrics: tuple[str, int] | None, as_json: bool
) -> None:
    """Compare until SIGTERM or Ctrl-C, telling only what has changed; ends the command with 0."""
    reference = find_reference()
    gauges = Gauges()
    stop = gauges.serve(*metrics) if metrics is not None else None
    told: list[object] = []

    def tell(found: Reconciliation) -> None:
        if as_json:
            print(json.dumps(found.as_json(), ensure_ascii=False, default=str), flush=True)
        elif told != [found.differences]:
            print_found(found)
        told[:] = [found.differences]

    looking = asyncio.ensure_future(
        keep_looking(
            lambda: reconcile(stack, reference, older_than_seconds=older_than),
            every_seconds=every,
            gauges=gauges,
            tell=tell,
            complain=lambda problem: print(problem, file=sys.stderr, flush=True),
        )
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, looking.cancel)
    try:
        await looking
    except asyncio.CancelledError:
        if not looking.cancelled():
            raise
    finally:
        if stop is not None:
            stop()


def print_found(found: Reconciliation) -> None:
    """Differences on standard output, one a line; the rest on standard error."""
    for difference in found.differences:
        print(difference, flush=True)
    kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(found.by_kind.items()))
    counts = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in found.counts.items())
    print(
        f"Looked at {found.at.isoformat(timespec='seconds')}, {found.seconds:.1f} s: {counts}.\n"
        + (f"They differ: {kinds}." if kinds else "They agree."),
        file=sys.stderr,
        flush=True,
    )
