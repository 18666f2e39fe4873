"""Do more issuers decide more, where each application waits 50 ms for an outside answer? And what does it cost to join?

Each issuer asks one question at a time here, as with a credit service that allows no more: then it is the waiting that
is shared among issuers, until the cores are full. A real HTTP server answers, after 50 ms.
"""

import asyncio
import contextlib
import itertools
import os
import time
from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import Any, Final

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from uvicorn import Config, Server

from deploy.local.state import free_port
from tests.bench.report import Figure, progress
from tests.bench.sides import applications
from tests.bench.stand import Stand, running_stand
from tests.support.builders import a_record
from tests.support.kafka import send
from tests.support.waiting import eventually

ANSWER_SECONDS: Final = 0.05
REPLICAS: Final = (1, 2, 4, 8, 16)
_LOOK_EVERY_SECONDS: Final = 0.05
#: Long enough for some polls of every issuer.
_WATCH_SECONDS: Final = 20.0
_SETTLE_SECONDS: Final = 120
_DECIDED: Final = 'akashi_events_handled_total{group="issuer",type="ApplicationSubmitted"}'


async def scaling(count: int, rounds: int) -> Sequence[Figure]:
    """Decisions a second by so many issuers, and the longest time without any while the number doubles."""
    del rounds
    async with _credit_service() as url, contextlib.AsyncExitStack() as opened:
        settings = {
            "AKASHI_CREDIT_CHECK_URL": url,
            "AKASHI_CREDIT_CHECK_AT_ONCE": "1",
            # Polls of a fifth of a second, not of 25 s: a decision is told when its poll is done, and nobody joins before.
            "AKASHI_BATCH_RECORDS": "4",
        }
        os.environ |= settings
        opened.callback(lambda: [os.environ.pop(name) for name in settings])
        stand = await opened.enter_async_context(
            running_stand(without=("mailbox", "notifier", "intake", "registry", "witness"))
        )
        connections = await opened.enter_async_context(stand.connected())
        # More than are decided while anybody watches, over all partitions.
        await send(stand.kafka, [a_record(event, partition=None) for event in applications(count)])
        rates: dict[int, float] = {}
        pauses: dict[int, float] = {}
        ports = [stand.port("issuer")]
        for wanted in REPLICAS:
            while len(ports) < wanted:
                ports.append(await opened.enter_async_context(_another_issuer(stand)))
            pauses[wanted] = await _until_all_decide(connections["issuer"], ports)
            rates[wanted] = await _rate(connections["issuer"])
            progress.print(f"{wanted} issuers: {rates[wanted]:,.1f} decisions a second")
    return [
        *(
            Figure(f"decisions/s, {number} issuers", [rates[number]], f"{number} × one", [rates[1] * number], "≥ 0.95")
            for number in REPLICAS[1:]
        ),
        *(
            Figure(f"s without a decision, {before} → {after} issuers", [pauses[after]], asked="≤ 1")
            for before, after in itertools.pairwise(REPLICAS)
        ),
    ]


@contextlib.asynccontextmanager
async def _credit_service() -> AsyncIterator[str]:
    async def answer(request: Request) -> JSONResponse:
        await asyncio.sleep(ANSWER_SECONDS)
        return JSONResponse({"answer": "clear"})

    port = free_port()
    app = Starlette(routes=[Route("/check", answer, methods=["POST"])])
    server = Server(Config(app, port=port, log_level="warning", access_log=False))
    serving = asyncio.create_task(server.serve())
    try:
        await eventually(lambda: server.started)
        yield f"http://127.0.0.1:{port}/check"
    finally:
        server.should_exit = True
        await serving


@contextlib.asynccontextmanager
async def _another_issuer(stand: Stand) -> AsyncIterator[int]:
    """Started as the supervisor starts the first, on this port."""
    port = free_port()
    spec = stand.process("issuer")
    process = await asyncio.create_subprocess_exec(
        *spec.command(),
        env={**spec.environment(), "AKASHI_HTTP_PORT": str(port)},
        stdout=asyncio.subprocess.DEVNULL,
    )
    try:
        yield port
    finally:
        process.terminate()
        await process.wait()


async def _until_all_decide(issuer: Any, ports: Sequence[int]) -> float:
    """The longest time without a decision until each of these has made one, in seconds."""
    over = asyncio.Event()

    # By itself: a process that comes up is slow to say what it did.
    async def watch() -> float:
        longest, last, at = 0.0, await _decided(issuer), time.monotonic()
        while not over.is_set():
            await asyncio.sleep(_LOOK_EVERY_SECONDS)
            now, count = time.monotonic(), await _decided(issuer)
            if count > last:
                longest, last, at = max(longest, now - at), count, now
        return longest

    watching = asyncio.create_task(watch())
    try:
        async with httpx.AsyncClient(timeout=5) as client:
            for port in ports:
                await eventually(partial(_has_decided, client, port), _SETTLE_SECONDS)
    finally:
        over.set()
        longest = await watching
    return longest


async def _has_decided(client: httpx.AsyncClient, port: int) -> bool:
    try:
        return _DECIDED in (await client.get(f"http://127.0.0.1:{port}/metrics")).text
    except httpx.HTTPError:
        return False


async def _rate(issuer: Any) -> float:
    began, before = time.monotonic(), await _decided(issuer)
    await asyncio.sleep(_WATCH_SECONDS)
    return (await _decided(issuer) - before) / (time.monotonic() - began)


async def _decided(issuer: Any) -> int:
    return int(await issuer.fetchval("SELECT count(*) FROM application"))
