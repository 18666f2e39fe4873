"""Somebody else sees our checkpoints, and neither their absence nor ours is anybody's delay."""

import asyncio
import contextlib
import subprocess
import sys
from contextlib import asynccontextmanager

import httpx
import pytest

from chassis.metrics import MUST_NEVER
from deploy.local.state import free_port
from services.registry import handlers
from services.registry.log.signing import Signing
from services.registry.log.witnessing import WitnessAway, Witnessing
from tests.support.builders import a_certificate, a_record
from tests.support.consuming import a_consumer
from tests.support.services import make_service, running
from tests.support.waiting import eventually
from transparency.checkpoints import Trust, open_checkpoint
from transparency.signatures import SignerKey, VerifierKey


@pytest.fixture
def port():
    return free_port()


@pytest.fixture
def witness(keys, tmp_path, port):
    """The witness, as the stack starts it, while the block lasts."""

    def start():
        options = ["--secrets", keys.of("witness"), "--state", tmp_path / "seen.json", "--port", str(port)]
        return subprocess.Popen([sys.executable, "-m", "deploy.witness", *map(str, options)])

    @asynccontextmanager
    async def serving():
        with start() as process:
            try:
                await eventually(lambda: serves(port))
                yield
            finally:
                process.terminate()
                assert process.wait(20) == 0

    return serving


async def serves(port):
    async with httpx.AsyncClient() as http:
        try:
            return (await http.get(f"http://127.0.0.1:{port}/")).status_code == 200
        except httpx.TransportError:
            return False


@pytest.fixture
def witness_key(keys):
    return VerifierKey.parse((keys.of("registry") / "witness_verifier_key").read_text())


@pytest.fixture
def trust(keys, witness_key):
    key = VerifierKey.parse((keys.of("registry") / "log_verifier_key").read_text())
    return Trust(key.name, (key,), (witness_key,), quorum=1)


@pytest.fixture
def signing(registry, keys, clock):
    key = SignerKey.parse((keys.of("registry") / "log_key").read_text())
    return Signing(lambda: registry.pool, clock, key, key.name, handlers.draw_salt)


@pytest.fixture
def witnessing(registry, signing, witness_key, port):
    return Witnessing(f"http://127.0.0.1:{port}", witness_key, signing, lambda: registry.pool)


@pytest.fixture
def grow(registry, signing, keys):
    """Certificates arrive, and the log is signed; after a backup was restored, if so asked."""

    async def take_and_sign(count, *, anew=False):
        if anew:
            await registry.pool.execute(
                "TRUNCATE leaf, tile_node, checkpoint; UPDATE log_head SET size = 0, frontier = '{}'"
            )
        await a_consumer(registry.service, registry.pool).take(
            [a_record(a_certificate(keys=keys)) for _ in range(count)]
        )
        return await signing.sign_newest()

    return take_and_sign


@pytest.fixture
def witness_settings(broker, port):
    return {
        "kafka": broker.access,
        "witnesses": [{"url": f"http://127.0.0.1:{port}", "key": "witness_verifier_key"}],
        "log_sign_seconds": 0.1,
    }


def alarms(what):
    return MUST_NEVER.labels(what)._value.get()


async def served(registry):
    return (await registry.http.get("/log/checkpoint")).text


async def test_a_checkpoint_is_cosigned_and_served_so(registry, witnessing, witness, grow, trust):
    await grow(3)
    with pytest.raises(WitnessAway):
        await witnessing.ask()

    async with witness():
        assert await witnessing.ask()
        await grow(4)
        assert await witnessing.ask()
        # Another process, which does not know what the witness saw, while somebody else signs on.
        await grow(1)
        stranger = Witnessing(witnessing.url, witnessing.key, witnessing.signing, witnessing.pool)
        assert await stranger.ask()
        assert await witnessing.ask()

    signed = open_checkpoint(await served(registry), trust)
    assert (signed.checkpoint.size, set(signed.witnessed)) == (16, {witnessing.key.name})


async def drip(reader, writer):
    """An answer that never ends: a byte, long before anybody gives up, again and again."""
    writer.write(b"HTTP/1.1 200 OK\r\nX-Drip: ")
    with contextlib.suppress(ConnectionError):
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.05)


async def test_who_answers_byte_by_byte_is_as_if_away(witnessing, grow, port, monkeypatch):
    monkeypatch.setattr("services.registry.log.witnessing.ANSWER_SECONDS", 0.5)
    await grow(3)

    async with await asyncio.start_server(drip, "127.0.0.1", port):
        async with asyncio.timeout(20):
            with pytest.raises(WitnessAway):
                await witnessing.ask()


async def test_a_log_that_was_set_back_is_not_signed_on(witnessing, witness, grow):
    await grow(3)
    before = alarms("log_rolled_back")
    async with witness():
        await witnessing.ask()
        await grow(1, anew=True)
        fresh = Witnessing(witnessing.url, witnessing.key, witnessing.signing, witnessing.pool)

        assert not await fresh.ask()

    assert witnessing.signing.stopped
    assert alarms("log_rolled_back") == before + 1


@pytest.mark.parametrize("certificates", [3, 5], ids=["of the same size", "that grew"])
async def test_another_log_under_the_same_name_is_not_signed_on(certificates, witnessing, witness, grow):
    await grow(3)
    before = alarms("log_forked")
    async with witness():
        await witnessing.ask()
        await grow(certificates, anew=True)

        assert not await witnessing.ask()

    assert witnessing.signing.stopped
    assert alarms("log_forked") == before + 1


async def test_who_asks_while_another_process_signs_on_is_not_stopped(witnessing, grow, port):
    await grow(3)

    async def saw_more(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        await reader.read(65536)
        signed = await grow(1)
        writer.write(f"HTTP/1.0 409 Conflict\r\n\r\n{signed.size}\n".encode())
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(saw_more, "127.0.0.1", port):
        assert not await witnessing.ask()

    assert (witnessing.signing.stopped, witnessing.seen) == (False, 8)


async def test_who_was_told_to_stop_asks_no_witness(witnessing, grow):
    await grow(3)
    witnessing.signing.stop("log_forked", "a witness saw another log")

    assert not await witnessing.ask(), "nobody is there who could answer"


async def test_the_service_signs_and_asks_by_itself(databases, keys, witness, witness_settings, trust):
    await databases.fresh("registry")
    service = make_service("registry", databases, keys, **witness_settings)
    async with witness(), running(service) as site:
        await a_consumer(service, site.pool).take([a_record(a_certificate(keys=keys)) for _ in range(5)])

        async def is_cosigned():
            answer = await site.http.get("/log/checkpoint")
            return f"\n{10}\n" in answer.text and trust.witnesses[0].name in answer.text

        await eventually(is_cosigned, 30)
        assert open_checkpoint(await served(site), trust).checkpoint.size == 10
