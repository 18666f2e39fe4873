"""How many requests a second do intake and registry answer, beside a bare Starlette with a row for each?"""

import asyncio
import contextlib
import itertools
import json
import os
import sys
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Final

import asyncpg

from deploy.local.state import free_port
from tests.bench.hammer import hammer, request
from tests.bench.latency import registered
from tests.bench.pipes import web
from tests.bench.report import Figure, progress
from tests.bench.stand import Stand, running_stand
from tests.fault.load import nth_form
from tests.support.builders import a_certificate, a_record
from tests.support.kafka import send
from tests.support.keys import Keyring
from tests.support.waiting import eventually

KEY: Final = "Z28YUE4J3Bux"
#: As many numbers are looked up in turn.
CERTIFICATES: Final = 200
#: People who look up at once: a failure limit is counted for each.
PURCHASERS: Final = 8
#: Connections that ask at once. Ours gains by more of them, the reference does not: each is judged by its best.
ASKING: Final = (16, 32, 64)
_WARM_UP: Final = 100
_DATABASE: Final = "bench_web"
_HEALTH: Final = request("GET", "/health/ready", b"", {})


async def accepting(count: int, rounds: int) -> Sequence[Figure]:
    """Applications accepted a second: token, idempotency, rules, sealing, rows and outbox in one transaction."""
    async with running_stand(without=("mailbox", "notifier", "issuer", "registry", "witness")) as stand:
        contractor = await stand.running.contractor("bench")

        def requests(number: int) -> list[bytes]:
            return [
                request(
                    "POST",
                    "/api/applications",
                    json.dumps(nth_form(n)[0]).encode(),
                    {"Authorization": f"Bearer {contractor.token}", "Idempotency-Key": uuid.uuid4().hex},
                )
                for n in range(number)
            ]

        async with _bare_web(stand) as (port, pid):
            sides = _Sides(stand, "intake", port, pid, expected=202)
            return await sides.measured("applications accepted/s", requests, count, rounds)


async def looking_up(count: int, rounds: int) -> Sequence[Figure]:
    """Certificates shown a second: token, throttle, digest, view, two leaves of the log and outbox in one transaction."""
    async with running_stand(without=("mailbox", "notifier", "issuer", "intake", "witness")) as stand:
        issued = [a_certificate(keys=Keyring(stand.state / "secrets"), key=KEY) for _ in range(CERTIFICATES)]
        await send(stand.kafka, [a_record(event, partition=None) for event in issued])
        purchasers = [await stand.running.purchaser("tochigi") for _ in range(PURCHASERS)]

        async with stand.connected() as connections:
            await eventually(partial(registered, connections["registry"], len(issued)), 60)

        def requests(number: int) -> list[bytes]:
            return [
                request(
                    "POST",
                    "/api/certificates/lookup",
                    json.dumps(
                        {"contract_number": issued[n % len(issued)].contract_number, "authentication_key": KEY}
                    ).encode(),
                    {"Authorization": f"Bearer {purchasers[n % PURCHASERS].token}"},
                )
                for n in range(number)
            ]

        async with _bare_web(stand) as (port, pid):
            rows = [
                (one.contract_number, web.digest(one.contract_number, KEY), one.content.model_dump_json())
                for one in issued
            ]
            connection = await asyncpg.connect(stand.postgres.dsn(_DATABASE))
            try:
                await connection.copy_records_to_table("certificate", records=rows)
            finally:
                await connection.close()
            sides = _Sides(stand, "registry", port, pid, expected=200)
            return await sides.measured("certificates looked up/s", requests, count, rounds)


@dataclass(frozen=True)
class _Sides:
    """A service of ours, and the bare one."""

    stand: Stand
    part: str
    bare_port: int
    bare_pid: int
    #: The status that every answer must have.
    expected: int

    async def measured(
        self, what: str, requests: Callable[[int], list[bytes]], count: int, rounds: int
    ) -> list[Figure]:
        rates = {(name, asking): list[float]() for name in ("ours", "bare") for asking in ASKING}
        cpu = {(name, asking): list[float]() for name in ("ours", "bare") for asking in ASKING}
        for number, asking in itertools.product(range(rounds + 1), ASKING):
            asked = requests(count if number else _WARM_UP)
            for name, port in (("ours", self.stand.port(self.part)), ("bare", self.bare_port)):
                before = self._cpu_seconds(name)
                per_second = await hammer(port, asked, expected=self.expected, connections=asking)
                if number:
                    rates[name, asking].append(per_second)
                    cpu[name, asking].append((self._cpu_seconds(name) - before) / count * 1000)
                    progress.print(f"round {number} of {rounds}, {asking} at once, {name}: {per_second:,.0f} a second")
        best = {name: max((rates[name, asking] for asking in ASKING), key=median) for name in ("ours", "bare")}
        return [
            Figure(f"{what}, each as many as it can", best["ours"], "bare Starlette", best["bare"], "≥ 0.5"),
            *(
                Figure(told.format(asking), of["ours", asking], "bare Starlette", of["bare", asking])
                for told, of in ((what + ", {} at once", rates), ("CPU ms a request of the service, {} at once", cpu))
                for asking in ASKING
            ),
        ]

    def _cpu_seconds(self, name: str) -> float:
        if name == "bare":
            return self.stand.cpu_seconds_of({self.bare_pid}) or 0.0
        return self.stand.cpu_seconds(self.part) or 0.0


@contextlib.asynccontextmanager
async def _bare_web(stand: Stand) -> AsyncIterator[tuple[int, int]]:
    """Port and pid of the reference."""
    server = await asyncpg.connect(stand.postgres.dsn())
    try:
        await server.execute(f"CREATE DATABASE {_DATABASE}")
    finally:
        await server.close()
    dsn = stand.postgres.dsn(_DATABASE)
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(web.CREATE)
    finally:
        await connection.close()
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "uvicorn", "tests.bench.pipes.web:app", "--port", str(port), "--no-access-log",
        "--log-level", "warning", env={**os.environ, "BENCH_DSN": dsn},
    )  # fmt: skip

    async def answers() -> bool:
        try:
            await hammer(port, [_HEALTH], expected=200)
        except OSError:
            return False
        return True

    try:
        await eventually(answers, 30)
        yield port, process.pid
    finally:
        process.terminate()
        await process.wait()
