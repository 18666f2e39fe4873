"""A service starts before its neighbours, says what it misses, and stops cleanly without them."""

import asyncio
import os
import re
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from deploy.local.stack import SERVICES
from deploy.local.state import free_port
from deploy.secrets import make_secrets
from tests.support.waiting import eventually


@asynccontextmanager
async def _alone(service: str, folder: Path) -> AsyncIterator[tuple[Process, int]]:
    """A service none of whose neighbours are there, and its port."""
    make_secrets(folder)
    port = free_port()
    nowhere = str(free_port())
    environment = {
        **os.environ,
        "AKASHI_HTTP_PORT": str(port),
        "AKASHI_POSTGRES_PORT": nowhere,
        "AKASHI_KAFKA_BOOTSTRAP": f"127.0.0.1:{nowhere}",
        "AKASHI_SECRETS_DIR": str(folder / service),
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", f"services.{service}", env=environment, stdout=asyncio.subprocess.DEVNULL
    )
    try:
        yield process, port
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@pytest.mark.parametrize("service", SERVICES)
async def test_a_service_waits_for_its_neighbours_and_ends_with_0_on_sigterm(service: str, tmp_path: Path) -> None:
    async with _alone(service, tmp_path) as (process, port):
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:

            async def lives() -> bool:
                try:
                    return (await client.get("/health/live")).status_code == 200
                except httpx.HTTPError:
                    return False

            await eventually(lives, 30)
            ready = await client.get("/health/ready")
            assert (ready.status_code, ready.json()) == (503, {"ready": False, "missing": ["postgres", "kafka"]})
            if service == "registry":
                looked_up = await client.post(
                    "/api/certificates/lookup", json={"contract_number": "a", "authentication_key": "b"}
                )
                assert (looked_up.status_code, looked_up.headers["content-type"]) == (503, "application/problem+json")
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(30):
            assert await process.wait() == 0


@pytest.mark.skipif(sys.platform != "linux", reason="Only Linux tells which signals a process handles")
@pytest.mark.parametrize("service", SERVICES)
async def test_a_service_that_is_told_to_end_while_it_is_put_together_ends_with_0(service: str, tmp_path: Path) -> None:
    async with _alone(service, tmp_path) as (process, _):

        def handles_it() -> bool:
            (mask,) = re.findall(r"^SigCgt:\s*(\w+)$", Path(f"/proc/{process.pid}/status").read_text(), re.MULTILINE)
            return bool(int(mask, 16) >> (signal.SIGTERM - 1) & 1)

        await eventually(handles_it, 30, every_seconds=0.001)
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(30):
            assert await process.wait() == 0
