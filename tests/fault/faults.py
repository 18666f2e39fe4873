"""Everything that can go wrong, each as something to do to a stack for a while; afterwards it is undone. (But a release
stays, until another fault takes it back.)

Which, to whom and for how long the dice say. Faults may overlap.
"""

import asyncio
import random
import signal
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from datetime import timedelta
from pathlib import Path
from typing import Final

import asyncpg
from aiokafka.errors import KafkaError

from deploy.local.stack import SERVICES
from deploy.local.state import CLONE
from tests.fault.garbage import garbage_of_every_kind, produce
from tests.fault.need import all_connections, filled
from tests.fault.steps import STEPS, VIEW, Step, migrating
from tests.support.lines import SIDES, Line, Side, Tripwire
from tests.support.running import eventually
from tests.support.wired import REPLACED_SECONDS, WiredStack
from tests.support.wires import SmtpWire

Fault = Callable[[WiredStack, random.Random], Awaitable[str]]

#: Who is at the far end of a line; to a service, its callers are at the near end.
NEIGHBOURS: Final = ("kafka", "postgres", "smtp", "witness", "intake", "issuer", "registry")
#: A step of a service that has nothing to do is not waited for.
STEP_SECONDS: Final = 15.0
#: Of the deploys: in so many, the first process that makes tables dies of it.
DEADLY_SHARE: Final = 0.5


async def _strike(stack: WiredStack, name: str, dice: random.Random, how: signal.Signals = signal.SIGKILL) -> int:
    """As soon as it runs: whichever of its processes, where there are more; its pid."""
    pid = dice.choice(await eventually(lambda: stack.processes(name), 90))
    stack.strike(pid, how)
    return int(pid)


async def _service_is_killed(stack: WiredStack, dice: random.Random) -> str:
    victim = dice.choice(SERVICES)
    await _strike(stack, victim, dice)
    return victim


async def _neighbour_is_killed(stack: WiredStack, dice: random.Random) -> str:
    victim = dice.choice(("kafka", "postgres", "mailbox", "witness"))
    await _strike(stack, victim, dice)
    return victim


@contextmanager
def deadly(stack: WiredStack, step: Step, side: Side) -> Iterator[Tripwire]:
    """Who comes to the step dies there."""

    def pull() -> None:
        # Nobody can see which of them it was. None may be left: they were killed otherwise meanwhile.
        for pid in stack.processes(step.service):
            stack.strike(pid, signal.SIGKILL)

    line = stack.line(step.service, step.neighbour)
    tripwire = line.trip(*step.words, side=side, pull=pull)
    try:
        yield tripwire
    finally:
        line.take_up(tripwire)


async def _service_is_killed_at_a_step(stack: WiredStack, dice: random.Random) -> str:
    step = dice.choice([step for steps in STEPS.values() for step in steps if step.number != VIEW])
    side = dice.choice(SIDES)
    with deadly(stack, step, side) as tripwire, suppress(TimeoutError):
        async with asyncio.timeout(STEP_SECONDS):
            await tripwire.fired.wait()
    return f"{step}, {side}: {'fired' if tripwire.fired.is_set() else 'did not come'}"


async def _service_is_restarted(stack: WiredStack, dice: random.Random) -> str:
    victim = dice.choice(SERVICES)
    await _strike(stack, victim, dice, signal.SIGTERM)
    return victim


async def _service_is_frozen(stack: WiredStack, dice: random.Random) -> str:
    victim, seconds = dice.choice(SERVICES), dice.uniform(1, 15)
    pid = await _strike(stack, victim, dice, signal.SIGSTOP)
    await asyncio.sleep(seconds)
    stack.strike(pid, signal.SIGCONT)
    return f"{victim}, {seconds:.1f} s"


def _some_lines(stack: WiredStack, dice: random.Random) -> list[Line]:
    lines = stack.lines_to(dice.choice(NEIGHBOURS))
    return dice.sample(lines, dice.randint(1, len(lines)))


def _named(lines: list[Line]) -> str:
    return "+".join(f"{line.service}-{line.neighbour}" for line in lines)


async def _lines_are_cut(stack: WiredStack, dice: random.Random) -> str:
    lines, times = _some_lines(stack, dice), dice.randint(1, 5)
    for _ in range(times):
        for line in lines:
            line.cut()
        await asyncio.sleep(dice.uniform(0, 1))
    return f"{_named(lines)}, {times} times"


async def _lines_swallow(stack: WiredStack, dice: random.Random) -> str:
    lines, seconds = _some_lines(stack, dice), dice.uniform(1, 18)
    for line in lines:
        line.swallow()
    await asyncio.sleep(seconds)
    for line in lines:
        line.mend()
    return f"{_named(lines)}, {seconds:.1f} s"


async def _lines_crawl(stack: WiredStack, dice: random.Random) -> str:
    lines, seconds = _some_lines(stack, dice), dice.uniform(2, 10)
    for line in lines:
        line.slow(latency_seconds=dice.uniform(0.01, 0.1), bytes_per_second=dice.uniform(100_000, 1_000_000))
    await asyncio.sleep(seconds)
    for line in lines:
        line.mend()
    return f"{_named(lines)}, {seconds:.1f} s"


async def _mail_server_is_in_a_bad_mood(stack: WiredStack, dice: random.Random) -> str:
    line, seconds = stack.line("notifier", "smtp"), dice.uniform(1, 10)
    mood = dice.choice(("away", "not now", "hangs", "breaks"))
    match mood:
        case "away":
            line.take_away()
        case "not now":
            line.instead["RCPT"] = b"451 4.3.0 not now\r\n"
        case "hangs":
            line.trip(SmtpWire.LETTER, side=dice.choice(SIDES), then="hangs")
        case "breaks":
            line.trip(SmtpWire.LETTER, side=dice.choice(SIDES))
    await asyncio.sleep(seconds)
    line.mend()
    return f"{mood}, {seconds:.1f} s"


async def _connections_run_out(stack: WiredStack, dice: random.Random) -> str:
    seconds = dice.uniform(1, 5)
    await eventually(stack.database_answers, 90)
    try:
        async with all_connections(stack):
            await asyncio.sleep(seconds)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        return f"the server went away meanwhile: {type(error).__name__}"
    return f"{seconds:.1f} s"


async def _is_full(disk: Path | None, seconds: float) -> str:
    if disk is None:
        return "no disk of its own"
    with filled(disk):
        await asyncio.sleep(seconds)
    return f"{seconds:.1f} s"


async def _databases_disk_is_full(stack: WiredStack, dice: random.Random) -> str:
    return await _is_full(stack.disk, dice.uniform(1, 5))


async def _brokers_disk_is_full(stack: WiredStack, dice: random.Random) -> str:
    return await _is_full(stack.broker_disk, dice.uniform(1, 8))


async def _clocks_leap(stack: WiredStack, dice: random.Random) -> str:
    if not stack.clocks:
        return "no clocks of their own"
    services, seconds = dice.sample(SERVICES, dice.randint(1, len(SERVICES))), dice.uniform(2, 15)
    leap = timedelta(seconds=dice.choice((-1, 1)) * dice.choice((5, 300, 3 * 3600)))
    for service in services:
        stack.clocks[service].set_off(leap)
    await asyncio.sleep(seconds)
    for service in services:
        stack.clocks[service].set_off()
    return f"{'+'.join(services)} by {leap.total_seconds():+.0f} s, for {seconds:.1f} s"


async def _another_comes_and_goes(stack: WiredStack, dice: random.Random) -> str:
    service, seconds = dice.choice(SERVICES), dice.uniform(5, 15)
    async with stack.second(service, release=stack.release_of(service)):
        await asyncio.sleep(seconds)
    return f"{service}, {seconds:.1f} s"


async def _release_is_replaced(stack: WiredStack, dice: random.Random) -> str:
    """A deploy of one service, or its rollback: it gets the release that it has not.

    Beside the old process runs a new one, which makes its tables first, unless it is killed there; then the old one
    drains, and its supervisor starts the new release in its place.
    """
    service, seconds = dice.choice(SERVICES), dice.uniform(5, 15)
    step, side, is_deadly = dice.choice(migrating(service)), dice.choice(SIDES), dice.random() < DEADLY_SHARE
    if stack.newer is None:
        return "no other release"
    is_deploy = stack.release_of(service) != stack.newer
    release = stack.newer if is_deploy else CLONE
    async with stack.second(service, release=release):
        with deadly(stack, step, side) if is_deadly else nullcontext() as tripwire:
            await asyncio.sleep(seconds)
        stack.point(service, release)
        old = stack.part(service).pid
        if old is not None:
            stack.strike(old, signal.SIGTERM)
        # Whether it gets ready depends on what else goes on.
        await eventually(lambda: stack.has_another(service, old), REPLACED_SECONDS)
    went = f"killed at {step}, {side}" if tripwire and tripwire.fired.is_set() else f"{seconds:.1f} s side by side"
    return f"{service} {'deployed' if is_deploy else 'rolled back'}, {went}"


async def _garbage_comes(stack: WiredStack, dice: random.Random) -> str:
    chosen = dice.sample(list(garbage_of_every_kind()), 3)
    with suppress(KafkaError):
        await produce(stack.console.kafka_administrator, [record for _, record, _ in chosen], noted=stack.garbage)
    return ", ".join(f"{kind} on {record[0]}" for kind, record, _ in chosen)


#: What can happen, and how often beside the others: those that take long to come back from more seldom.
FAULTS: Final[Mapping[str, tuple[Fault, int]]] = {
    "a service is killed": (_service_is_killed, 6),
    "a service is killed at a step": (_service_is_killed_at_a_step, 6),
    "a service is restarted": (_service_is_restarted, 3),
    "a service is frozen": (_service_is_frozen, 3),
    "a neighbour is killed": (_neighbour_is_killed, 2),
    "lines are cut": (_lines_are_cut, 4),
    "lines swallow everything": (_lines_swallow, 2),
    "lines crawl": (_lines_crawl, 2),
    "the mail server is in a bad mood": (_mail_server_is_in_a_bad_mood, 3),
    "connections run out": (_connections_run_out, 1),
    "the database's disk is full": (_databases_disk_is_full, 1),
    "the broker's disk is full": (_brokers_disk_is_full, 1),
    "clocks leap": (_clocks_leap, 3),
    "another process comes and goes": (_another_comes_and_goes, 2),
    "a release is replaced": (_release_is_replaced, 4),
    "garbage comes": (_garbage_comes, 3),
}


async def some_fault(stack: WiredStack, dice: random.Random) -> str:
    """Do one, undo it, and say what it was."""
    (name,) = dice.choices(list(FAULTS), [weight for _, weight in FAULTS.values()])
    # Dice of its own: what it draws does not depend on what others do meanwhile.
    done = await FAULTS[name][0](stack, random.Random(dice.random()))
    return f"{name}: {done}"
