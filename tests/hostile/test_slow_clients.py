"""What do others feel of a client that takes its time, or of hundreds that say nothing? A real process, real sockets.

The process serves HTTP only, with limits as short as a test's patience; nobody at its sockets is polite.
"""

import asyncio
import json
import os
import socket
import ssl
import sys
import time
import uuid
from asyncio import StreamReader, StreamWriter
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import asyncpg
import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from chassis.web.connections import HANDSHAKE_SECONDS
from deploy.local.state import CLONE, free_port
from tests.fault.load import nth_form
from tests.support.databases import Databases
from tests.support.keys import Keyring
from tests.support.running import TRUSTING_NOBODY
from tests.support.services import Person, Site, answering, build, make_service
from tests.support.waiting import eventually

REQUEST_SECONDS: Final = 2.0
ANSWER_SECONDS: Final = 2.0
CONNECTIONS: Final = 60
#: That a cut may come after its time on a machine with other work.
GRACE_SECONDS: Final = 5.0
#: Between two bytes of a slow client: far more often than any limit of silence would notice.
DRIP_SECONDS: Final = 0.1
_LISTENING: Final = "0A"
_ENDED: Final = "akashi_http_connections_cut_total"
#: In which others are to be answered, each of them.
OTHERS_SECONDS: Final = 5.0


@dataclass
class Process:
    """Intake's HTTP side in a process of its own."""

    port: int
    pid: int
    person: Person
    pool: asyncpg.Pool
    #: Whom to trust where it speaks TLS.
    authority: Path | None

    async def connect(self) -> tuple[StreamReader, StreamWriter]:
        tls = ssl.create_default_context(cafile=self.authority) if self.authority else None
        return await asyncio.open_connection("127.0.0.1", self.port, ssl=tls)

    def http(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            base_url=f"{'https' if self.authority else 'http'}://127.0.0.1:{self.port}",
            headers=self.person.headers,
            timeout=OTHERS_SECONDS,
            verify=ssl.create_default_context(cafile=self.authority) if self.authority else TRUSTING_NOBODY,
        )

    def taken(self) -> int:
        """Connections that it has taken up and not given back; those that wait to be taken up are nobody's."""
        lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        return sum(
            local.endswith(f":{self.port:04X}") and state != _LISTENING and inode != "0"
            for _, local, _, state, _, _, _, _, _, inode, *_ in lines
        )

    async def cut(self) -> Counter[str]:
        """How many it has ended, and for what."""
        async with self.http() as client:
            shown = (await client.get("/metrics")).text
        families = text_string_to_metric_families(shown)
        samples = (sample for family in families for sample in family.samples)
        ended = {each.labels["why"]: int(each.value) for each in samples if each.name == _ENDED}
        return Counter(ended)


@pytest.fixture(scope="module")
async def beside(databases: Databases, keys: Keyring) -> AsyncIterator[Site]:
    await databases.fresh("intake")
    async with answering(build(make_service("intake", databases, keys))) as site:
        yield site


@pytest.fixture(scope="module")
async def person(beside: Site) -> Person:
    return await beside.contractor()


@pytest.fixture(scope="module")
async def plain(databases: Databases, keys: Keyring, beside: Site, person: Person) -> AsyncIterator[Process]:
    async with running(databases, keys, person, beside.pool) as process:
        yield process


@pytest.fixture(scope="module", params=["http", "https"])
async def process(
    request: pytest.FixtureRequest, databases: Databases, keys: Keyring, beside: Site, person: Person
) -> AsyncIterator[Process]:
    async with running(databases, keys, person, beside.pool, tls=request.param == "https") as process:
        yield process


@asynccontextmanager
async def running(
    databases: Databases, keys: Keyring, person: Person, pool: asyncpg.Pool, *, tls: bool = False
) -> AsyncIterator[Process]:
    port, own = free_port(), keys.of("intake")
    settings = {
        "ROLE": "web",
        "SECRETS_DIR": own,
        "POSTGRES_HOST": databases.server.host,
        "POSTGRES_PORT": databases.server.port,
        "HTTP_PORT": port,
        "HTTP_REQUEST_SECONDS": REQUEST_SECONDS,
        "HTTP_ANSWER_SECONDS": ANSWER_SECONDS,
        "HTTP_CONNECTIONS": CONNECTIONS,
        **({"HTTP_CERTIFICATE_FILE": own / "tls.pem"} if tls else {}),
    }
    started = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "services.intake"),
        cwd=CLONE,
        env={**os.environ, **{f"AKASHI_{name}": str(value) for name, value in settings.items()}},
        stdout=asyncio.subprocess.PIPE,
    )
    assert started.stdout is not None
    said: asyncio.Task[bytes] = asyncio.create_task(started.stdout.read())
    process = Process(port, started.pid, person, pool, own / "ca.pem" if tls else None)
    try:
        await eventually(lambda: answers(process), 60)
        yield process
    finally:
        started.terminate()
        async with asyncio.timeout(30):
            code = await started.wait()
        lines = [json.loads(line) for line in (await said).splitlines()]
    assert code == 0
    # Who is slow is no fault of ours.
    assert not [line for line in lines if line["level"] in ("error", "critical")], lines


async def answers(process: Process) -> bool:
    try:
        async with process.http() as client:
            return (await client.get("/api/applications")).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False


# --- impolite people --------------------------------------------------------------------------------------------------

#: Does what it does at once, and returns what it then sends byte by byte.
Slow = Callable[[Process, StreamReader, StreamWriter], Awaitable[bytes]]


async def sends_its_head_byte_by_byte(process: Process, _: StreamReader, writer: StreamWriter) -> bytes:
    return b"GET /api/applications HTTP/1.1\r\nHost: akashi\r\nX-Padding: " + b"x" * 10_000


async def sends_its_body_byte_by_byte(process: Process, _: StreamReader, writer: StreamWriter) -> bytes:
    writer.write(_head(process, "POST", length=60_000))
    return b" " * 60_000


async def asks_once_and_then_is_slow(process: Process, reader: StreamReader, writer: StreamWriter) -> bytes:
    writer.write(_head(process, "GET"))
    await _whole_answer(reader, b"200")
    return b"GET /api/applications HTTP/1.1\r\nX-Padding: " + b"x" * 10_000


async def goes_on_after_it_was_refused(process: Process, reader: StreamReader, writer: StreamWriter) -> bytes:
    writer.write(b"POST /nowhere HTTP/1.1\r\nHost: akashi\r\nContent-Length: 60000\r\n\r\n")
    await _whole_answer(reader, b"404")
    return b" " * 60_000


async def says_nothing(process: Process, _: StreamReader, writer: StreamWriter) -> bytes:
    return b""


TOLD: Final[list[Slow]] = [sends_its_head_byte_by_byte, sends_its_body_byte_by_byte, asks_once_and_then_is_slow]
#: Those whom a second answer, or one before any request, would only confuse.
UNTOLD: Final[list[Slow]] = [goes_on_after_it_was_refused, says_nothing]


async def _whole_answer(reader: StreamReader, status: bytes) -> None:
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    assert head.startswith(b"http/1.1 " + status)
    await reader.readexactly(int(head.split(b"content-length: ")[1].split(b"\r\n")[0]))


def _head(process: Process, method: str, length: int = 0) -> bytes:
    lines = [
        f"{method} /api/applications HTTP/1.1",
        "Host: akashi",
        f"Authorization: Bearer {process.person.token}",
        "Content-Type: application/json",
        f"Idempotency-Key: {uuid.uuid4().hex}",
        *([f"Content-Length: {length}"] if length else []),
    ]
    return "\r\n".join([*lines, "", ""]).encode()


async def cut_after(process: Process, slow: Slow) -> tuple[float, bytes]:
    """How long one was put up with, and what it was told."""
    began = time.monotonic()
    reader, writer = await process.connect()
    dripping = asyncio.create_task(_drip(writer, await slow(process, reader, writer)))
    try:
        async with asyncio.timeout(REQUEST_SECONDS + GRACE_SECONDS):
            told = await reader.read()
    except ConnectionError:
        told = b""
    finally:
        dripping.cancel()
        await asyncio.gather(dripping, return_exceptions=True)
        writer.close()
    return time.monotonic() - began, told


async def _drip(writer: StreamWriter, text: bytes) -> None:
    for byte in text:
        writer.write(bytes([byte]))
        # The slowness itself, not a wait for anything.
        await asyncio.sleep(DRIP_SECONDS)


# --- others -----------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def others_are_served(process: Process) -> AsyncIterator[None]:
    """Meanwhile somebody reads and applies, again and again: each is answered in time, and no transaction stays open."""
    times: list[float] = []
    open_longest = 0.0
    done = asyncio.Event()

    async def others() -> None:
        nonlocal open_longest
        while not done.is_set():
            for ask in (
                lambda client: client.get("/api/applications"),
                lambda client: client.post(
                    "/api/applications", json=nth_form(1)[0], headers={"Idempotency-Key": uuid.uuid4().hex}
                ),
            ):
                # Each on a connection of its own: whoever comes now must be let in.
                async with process.http() as client:
                    began = time.monotonic()
                    answer = await ask(client)
                    times.append(time.monotonic() - began)
                assert answer.status_code in (200, 202, 409), answer.text
            open_longest = max(open_longest, await transaction_age(process.pool))

    asking = asyncio.create_task(others())
    try:
        yield
    finally:
        done.set()
        await asking
    assert len(times) >= 4
    assert open_longest < REQUEST_SECONDS / 2, open_longest


async def transaction_age(pool: asyncpg.Pool) -> float:
    """Seconds for which the oldest transaction of somebody else has been open."""
    age: float = await pool.fetchval(
        "SELECT COALESCE(max(EXTRACT(epoch FROM clock_timestamp() - xact_start)), 0)::float8 FROM pg_stat_activity"
        " WHERE application_name = 'akashi-intake' AND pid <> pg_backend_pid()"
    )
    return age


# --- rules ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("slow", TOLD + UNTOLD, ids=lambda slow: slow.__name__)
async def test_whoever_is_slow_with_a_request_is_cut_and_others_are_served(slow: Slow, process: Process) -> None:
    before = await process.cut()

    async with others_are_served(process):
        cut = await asyncio.gather(*(cut_after(process, slow) for _ in range(20)))

    for seconds, told in cut:
        assert REQUEST_SECONDS - 0.1 <= seconds < REQUEST_SECONDS + GRACE_SECONDS
        head, _, body = told.rpartition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 408 Request Timeout\r\n") == (slow in TOLD)
        assert slow in UNTOLD or json.loads(body)["type"] == "urn:akashi:problem:too-slow"
    assert await process.cut() - before == {"request": 20}
    await eventually(lambda: process.taken() == 0, GRACE_SECONDS)


async def test_hundreds_who_say_nothing_give_way_to_those_who_ask(process: Process) -> None:
    before = await process.cut()

    async with AsyncExitStack() as opened, others_are_served(process):
        for _ in range(10 * CONNECTIONS):
            _, writer = await process.connect()
            opened.callback(writer.close)
        # Those who give way are gone as soon as the loop comes round, long before their time is over.
        await eventually(lambda: process.taken() <= CONNECTIONS + 1, REQUEST_SECONDS / 2)
        # As long as they stay, so that others (two at most) have been served beside them.
        await eventually(lambda: process.taken() <= 2, REQUEST_SECONDS + GRACE_SECONDS, every_seconds=0.2)

    cut = await process.cut() - before
    # One whom the kernel let wait too long for us to take up was never here.
    assert cut.keys() == {"room", "request"}
    assert cut["room"] > 5 * CONNECTIONS
    await eventually(lambda: process.taken() == 0, GRACE_SECONDS)


async def test_who_never_reads_the_answers_is_cut_and_holds_no_memory_of_ours(plain: Process) -> None:
    large = _head(plain, "GET").replace(b"/api/applications", b"/openapi.json")
    async with plain.http() as client:
        # It is made at the first time.
        await client.get("/openapi.json")
    before, resident = await plain.cut(), resident_bytes(plain.pid)

    async with AsyncExitStack() as opened, others_are_served(plain):
        for _ in range(10):
            deaf = socket.socket()
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            deaf.setblocking(False)
            opened.callback(deaf.close)
            await asyncio.get_running_loop().sock_connect(deaf, ("127.0.0.1", plain.port))
            # Far more answers than the buffers of both kernels hold.
            await asyncio.get_running_loop().sock_sendall(deaf, large * 200)

        async def all_are_cut() -> bool:
            return await plain.cut() - before == {"answer": 10}

        await eventually(all_are_cut, ANSWER_SECONDS + 2 * GRACE_SECONDS)

    assert resident_bytes(plain.pid) - resident < 64 * 2**20
    await eventually(lambda: plain.taken() == 0, GRACE_SECONDS)


async def test_who_never_begins_with_tls_is_cut(
    databases: Databases, keys: Keyring, beside: Site, person: Person
) -> None:
    async with running(databases, keys, person, beside.pool, tls=True) as process, AsyncExitStack() as opened:
        for _ in range(20):
            _, writer = await asyncio.open_connection("127.0.0.1", process.port)
            opened.callback(writer.close)
        async with others_are_served(process):
            await eventually(lambda: process.taken() <= 2, HANDSHAKE_SECONDS + GRACE_SECONDS, every_seconds=0.2)


async def test_who_takes_time_but_not_too_much_is_answered(process: Process) -> None:
    document = json.dumps(nth_form(2)[0]).encode()
    reader, writer = await process.connect()
    half = len(document) // 2

    writer.write(_head(process, "POST", length=len(document)) + document[:half])
    await asyncio.sleep(REQUEST_SECONDS / 2)
    writer.write(document[half:])

    status = (await reader.readline()).split()[1]
    writer.close()
    # Somebody may have applied for the same before.
    assert status in (b"202", b"409")


def resident_bytes(pid: int) -> int:
    fields = Path(f"/proc/{pid}/statm").read_text().split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")
