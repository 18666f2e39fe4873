"""How long from an accepted application until the purchaser can view, and until the mail server has the mail?

At half of what the stack sustains, arriving evenly, whether or not earlier ones are done. When a row can be seen is
watched from outside, every ten milliseconds.
"""

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from functools import partial
from statistics import quantiles
from typing import Any, Final

from tests.bench.hammer import CONNECTIONS, ask, hammer, request
from tests.bench.pipes.tables import INSERT_OUTBOX
from tests.bench.report import Figure, progress
from tests.bench.stand import BARE, Stand, running_stand
from tests.support.builders import an_advance_payment, an_application_form
from tests.support.waiting import eventually

#: A look costs a millisecond of the database's time.
_LOOK_EVERY_SECONDS: Final = 0.01
_SETTLE_SECONDS: Final = 120
_PER_MILLE: Final = {"p50": 500, "p99": 990, "p99.9": 999}
#: What came after that place, and the place of each. A certificate's is its leaf in the log; the bare pipe's few rows have
#: none, and are all asked for.
OURS_SEEN: Final = """
SELECT leaf.index AS place, certificate.application_id::text AS id
FROM leaf JOIN certificate ON certificate.certificate_id = leaf.subject
WHERE leaf.index > $1 AND leaf.kind = 'registration' ORDER BY leaf.index
"""
BARE_SEEN: Final = "SELECT $1::bigint AS place, convert_from(id, 'UTF8') AS id FROM last_row"

#: Application id → when, in seconds of the machine's clock.
Times = dict[str, float]


async def latency(count: int, rounds: int) -> Sequence[Figure]:
    """`count` applications a round through intake's API, and as many through the bare pipe at the same rate."""
    viewable: list[Times] = []
    mailed: list[Times] = []
    bare: list[Times] = []
    async with running_stand(references=[BARE], without=("witness",)) as stand, two(stand) as (connections, watching):
        contractor = await stand.running.contractor("bench")
        bearer = {"Authorization": f"Bearer {contractor.token}"}
        rate = await _sustained(stand, connections["registry"], bearer, count) / 2
        progress.print(f"half of what is sustained: {rate:,.0f} applications a second")
        for number in range(rounds):
            accepted, seen = await until_viewable(stand, watching["registry"], bearer, count, rate, wave=number)
            viewable.append({one: seen[one] - at for one, (at, _) in accepted.items()})
            mails = await _mails(stand, {address: one for one, (_, address) in accepted.items()})
            mailed.append({one: mails[one] - at for one, (at, _) in accepted.items()})
            async with _watched(watching[BARE], BARE_SEEN) as seen:
                put = await _fill(connections[BARE], count, rate)
                await _all_seen(seen, put)
            bare.append({one: seen[one] - at for one, at in put.items()})
            progress.print(f"round {number + 1} of {rounds}")
    return [
        *(
            Figure(
                f"ms from accepted to viewable, {name}",
                each(viewable, permille),
                BARE,
                each(bare, permille),
                "≤ 3" if name == "p99" else "",
            )
            for name, permille in _PER_MILLE.items()
        ),
        *(
            Figure(f"ms from accepted to mailed, {name}", each(mailed, permille))
            for name, permille in _PER_MILLE.items()
        ),
    ]


async def until_viewable(
    stand: Stand,
    registry: Any,
    bearer: Mapping[str, str],
    count: int,
    rate: float,
    *,
    wave: int,
    stored: int = 0,
) -> tuple[dict[str, tuple[float, str]], Times]:
    """Apply `count` times, evenly: application id → when its 202 came, and the address of its mail; and when each
    certificate could be seen. `stored`: leaves that need not be read to tell the new ones.
    """
    async with _watched(registry, OURS_SEEN, after=stored - 1) as seen:
        accepted = await _apply(stand.port("intake"), bearer, count, rate, wave)
        await _all_seen(seen, accepted)
    return accepted, seen


@asynccontextmanager
async def two(stand: Stand) -> AsyncIterator[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """Connections to fill with, and others to look with meanwhile."""
    async with stand.connected() as one, stand.connected() as other:
        yield one, other


def each(rounds: Sequence[Times], permille: int) -> list[float]:
    return [quantiles(one.values(), n=1000, method="inclusive")[permille - 1] * 1000 for one in rounds]


def _form(address: str) -> bytes:
    product = an_advance_payment(amount_yen=100_000)
    form = an_application_form(
        works__price_yen=500_000, completion_mail_wanted=True, products__advance_payment=product, mail_address=address
    )
    return json.dumps(form).encode()


def wishing(bearer: Mapping[str, str], address: str) -> bytes:
    """An application that wishes for a mail to this address."""
    return request("POST", "/api/applications", _form(address), {**bearer, "Idempotency-Key": uuid.uuid4().hex})


async def registered(registry: Any, wanted: int) -> bool:
    """Whether the registry has so many certificates."""
    return bool(await registry.fetchval("SELECT count(*) FROM certificate") == wanted)


async def _sustained(stand: Stand, registry: Any, bearer: Mapping[str, str], count: int) -> float:
    """Applications a second, from the first request to the last certificate and mail; after as many that do not count,
    over which connections and plans are made.
    """
    to_registry = mailed = 0.0
    for total in (count, 2 * count):
        began = time.monotonic()
        wishes = [wishing(bearer, f"first-{n}@example.jp") for n in range(count)]
        await hammer(stand.port("intake"), wishes, expected=202)

        await eventually(partial(registered, registry, total), _SETTLE_SECONDS, every_seconds=_LOOK_EVERY_SECONDS)
        to_registry = time.monotonic() - began

        async def all_mailed(total: int = total) -> bool:
            async with stand.running.http("mailbox") as client:
                return bool((await client.get("/api/v1/messages", params={"limit": 1})).json()["total"] >= total)

        await eventually(all_mailed, _SETTLE_SECONDS, every_seconds=_LOOK_EVERY_SECONDS)
        mailed = time.monotonic() - began
    progress.print(f"sustained: {count / to_registry:,.0f} certificates a second, {count / mailed:,.0f} mails")
    return count / mailed


async def _apply(
    port: int, bearer: Mapping[str, str], count: int, rate: float, wave: int
) -> dict[str, tuple[float, str]]:
    """Application id → when its 202 came, and the address of its mail."""
    accepted: dict[str, tuple[float, str]] = {}
    free: asyncio.Queue[Any] = asyncio.Queue()
    connections = [await asyncio.open_connection("127.0.0.1", port) for _ in range(CONNECTIONS)]
    for connection in connections:
        free.put_nowait(connection)

    async def one(n: int) -> None:
        address = f"wave-{wave}-{n}@example.jp"
        reader, writer = await free.get()
        body = await ask(reader, writer, wishing(bearer, address), 202)
        free.put_nowait((reader, writer))
        accepted[json.loads(body)["application_id"]] = (time.time(), address)

    await _evenly(one, count, rate)
    for _, writer in connections:
        writer.close()
    return accepted


async def _fill(database: Any, count: int, rate: float) -> Times:
    """The same into the bare pipe's outbox: a commit each."""
    [(value, headers)] = await database.fetch("SELECT value, headers FROM sample WHERE kind = 'applications'")
    put: Times = {}

    async def one(_: int) -> None:
        key = str(uuid.uuid4())
        statement = INSERT_OUTBOX.format(table="first_outbox")
        async with lock:
            await database.execute(statement, [f"{BARE}-applications"], [key.encode()], [value], [headers])
        put[key] = time.time()

    lock = asyncio.Lock()
    await _evenly(one, count, rate)
    return put


async def _evenly(one: Callable[[int], Coroutine[Any, Any, None]], count: int, rate: float) -> None:
    began = time.monotonic()
    async with asyncio.TaskGroup() as tasks:
        for n in range(count):
            await asyncio.sleep(max(0.0, began + n / rate - time.monotonic()))
            tasks.create_task(one(n))


@asynccontextmanager
async def _watched(database: Any, statement: str, *, after: int = -1) -> AsyncIterator[Times]:
    """When each new row was seen first, by application id. Those up to the place `after` are not new."""
    before = await database.fetch(statement, after)
    place = max((row["place"] for row in before), default=after)
    old = {row["id"] for row in before}
    seen: Times = {}

    async def look() -> None:
        nonlocal place
        while True:
            rows = await database.fetch(statement, place)
            now = time.time()
            for row in rows:
                if row["id"] not in old:
                    seen.setdefault(row["id"], now)
                place = row["place"]
            await asyncio.sleep(_LOOK_EVERY_SECONDS)

    looking = asyncio.create_task(look())
    try:
        yield seen
    finally:
        looking.cancel()
        with suppress(asyncio.CancelledError):
            await looking


async def _all_seen(seen: Times, wanted: Mapping[str, object]) -> None:
    await eventually(lambda: wanted.keys() <= seen.keys(), _SETTLE_SECONDS)


async def _mails(stand: Stand, wanted: Mapping[str, str]) -> Times:
    """When the mail server had each application's mail. `wanted`: application id by address."""
    found: Times = {}

    async def all_came() -> bool:
        for mail in await stand.running.mails():
            for to in mail["To"]:
                if application_id := wanted.get(to["Address"]):
                    found[application_id] = datetime.fromisoformat(mail["Created"]).timestamp()
        return len(found) == len(wanted)

    await eventually(all_came, _SETTLE_SECONDS)
    return found
