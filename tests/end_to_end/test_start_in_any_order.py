"""A service starts before its neighbours, says what it misses, and stops cleanly without them."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import httpx
import pytest

from deploy.local.state import free_port
from deploy.secrets import make_secrets
from tests.support.waiting import eventually


@pytest.mark.parametrize("service", ["intake", "issuer", "registry", "notifier"])
async def test_a_service_waits_for_its_neighbours_and_ends_with_0_on_sigterm(service: str, tmp_path: Path) -> None:
    make_secrets(tmp_path)
    port = free_port()
    nowhere = str(free_port())
    environment = {
        **os.environ,
        "AKASHI_HTTP_PORT": str(port),
        "AKASHI_POSTGRES_PORT": nowhere,
        "AKASHI_KAFKA_BOOTSTRAP": f"127.0.0.1:{nowhere}",
        "AKASHI_SECRETS_DIR": str(tmp_path / service),
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", f"services.{service}", env=environment, stdout=asyncio.subprocess.DEVNULL
    )
    try:
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
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
