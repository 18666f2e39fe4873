"""Whoever stands between two parts that speak TLS hears nothing, and who pretends to be one of them is told nothing."""

import asyncio
import contextlib
import math
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaConnectionError

from chassis import postgres
from chassis.kafka import ADMINISTRATOR, KafkaAccess
from chassis.kafka_acls import ensure_acls
from chassis.kafka_topics import ensure_topics
from chassis.settings import ServiceSettings
from chassis.tls import showing
from deploy import certificates
from deploy.certificates import CERTIFICATE_LASTS, make_server_certificate, make_tls_authority
from deploy.local.kafka import LocalKafka
from deploy.local.postgres import LocalPostgres, programs
from deploy.local.problem import Problem
from deploy.local.state import free_port
from documents.authority import KeyAndCertificate
from services.notifier.smtp import Line, Server
from services.registry.log import witnessing
from services.registry.log.witnessing import WitnessAway
from tests.support.between import Ear, Impostor, impostor, listening_before
from tests.support.builders import CONTRACTOR, a_record, an_application
from tests.support.databases import Databases
from tests.support.kafka import send
from tests.support.keys import Keyring
from tests.support.services import make_service, running
from tests.support.stack import Server as DatabaseServer
from tests.support.stack import open_folder
from tests.support.waiting import eventually

# --- who pretends -----------------------------------------------------------------------------------------------------

LETTER = b"Subject: secret\r\n\r\nto nobody but the mail box\r\n"
#: What a client of PostgreSQL asks before TLS; SMTP's conversation before it.
SSL_REQUEST = b"\x04\xd2\x16\x2f"
EHLO = (b"\r\n", b"250-mail.example\r\n250 STARTTLS\r\n")
STARTTLS = (b"STARTTLS\r\n", b"220 go ahead\r\n")
GREETING = b"220 mail.example ESMTP\r\n"


@dataclass(frozen=True)
class Neighbour:
    """How an impostor of it begins, and how one of ours would speak to it."""

    greeting: bytes = b""
    before: tuple[tuple[bytes, bytes], ...] = ()
    after: bytes = b""


NEIGHBOURS = {
    "kafka": Neighbour(),
    "postgres": Neighbour(before=((SSL_REQUEST, b"S"),)),
    "smtp, starttls": Neighbour(GREETING, (EHLO, STARTTLS)),
    "smtp, tls": Neighbour(after=GREETING),
    "witness": Neighbour(),
}


async def _of_kafka(port: int, keys: Keyring) -> None:
    access = KafkaAccess(f"127.0.0.1:{port}", "SASL_SSL", "issuer", _password(keys), keys.of("issuer") / "ca.pem")
    admin = AIOKafkaAdminClient(**access.options(), request_timeout_ms=3000)
    try:
        await admin.start()
    finally:
        await admin.close()


async def _of_postgres(port: int, keys: Keyring) -> None:
    settings = ServiceSettings(
        postgres_port=port, postgres_ca_file=keys.of("issuer") / "ca.pem", secrets_dir=keys.of("issuer")
    )
    connection = await asyncpg.connect(**{**postgres.address(settings, "issuer"), "timeout": 3})
    await connection.close()


async def _of_smtp(port: int, keys: Keyring, security: Any) -> None:
    server = Server("127.0.0.1", port, security, None, None, 3.0, keys.of("notifier") / "ca.pem")
    line = Line(server)
    await line.send(LETTER, sender="a@akashi.example", recipient="b@akashi.example", until=math.inf)
    line.drop()


async def _of_witness(port: int, keys: Keyring) -> None:
    ca_file = keys.of("registry") / "ca.pem"
    await asyncio.to_thread(witnessing._post, f"https://127.0.0.1:{port}", b"a checkpoint", ca_file)


SPEAK: dict[str, Callable[[int, Keyring], Awaitable[None]]] = {
    "kafka": _of_kafka,
    "postgres": _of_postgres,
    "smtp, starttls": partial(_of_smtp, security="starttls"),
    "smtp, tls": partial(_of_smtp, security="tls"),
    "witness": _of_witness,
}
#: What ours says of one it does not trust. Of a mail server it says that it was silent, and raises nothing.
SAYS: dict[str, type[Exception]] = {
    "kafka": KafkaConnectionError,
    "postgres": ssl.SSLCertVerificationError,
    "witness": WitnessAway,
}


def _password(keys: Keyring) -> str:
    return (keys.of("issuer") / "kafka_password").read_text()


def _authority(keys: Keyring) -> KeyAndCertificate:
    key, begin, certificate = (keys.folder / "tls" / "authority.pem").read_text().partition("-----BEGIN CERT")
    return KeyAndCertificate(key.encode(), (begin + certificate).encode())


@pytest.fixture
def shows(keys: Keyring, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ssl.SSLContext]:
    """The context of somebody with a certificate that is wrong in one way, or in none."""

    def make(wrong: str) -> ssl.SSLContext:
        authority, now = _authority(keys), datetime.now(UTC)
        match wrong:
            case "another authority":
                authority = make_tls_authority(now)
            case "another name":
                monkeypatch.setattr(certificates, "_OWN_MACHINE", ("localhost",))
            case "ended":
                now -= CERTIFICATE_LASTS + timedelta(minutes=1)
        made = make_server_certificate(authority, ["elsewhere"], now)
        (tmp_path / "shown.pem").write_bytes(made.key_pem + made.certificate_pem)
        return showing(tmp_path / "shown.pem")

    return make


@contextlib.asynccontextmanager
async def _pretending(neighbour: str, shown: ssl.SSLContext | None) -> AsyncIterator[Impostor]:
    of = NEIGHBOURS[neighbour]
    async with impostor(shown, greeting=of.greeting, before=of.before, after=of.after) as pretending:
        yield pretending


@pytest.mark.parametrize("wrong", ["another authority", "another name", "ended"])
@pytest.mark.parametrize("neighbour", NEIGHBOURS)
async def test_who_shows_a_wrong_certificate_is_told_nothing(neighbour: str, wrong: str, keys, shows) -> None:
    async with _pretending(neighbour, shows(wrong)) as pretending:
        with pytest.raises(SAYS[neighbour]) if neighbour in SAYS else contextlib.nullcontext():
            await SPEAK[neighbour](pretending.port, keys)

        assert pretending.visits
        assert bytes(pretending.told) == b""


@pytest.mark.parametrize("neighbour", NEIGHBOURS)
async def test_who_shows_the_right_one_is_spoken_to(neighbour: str, keys, shows) -> None:
    """Else the test above would say nothing."""
    async with _pretending(neighbour, shows("nothing")) as pretending:
        # It never answers, so ours gives up.
        with contextlib.suppress(Exception):
            async with asyncio.timeout(10):
                await SPEAK[neighbour](pretending.port, keys)

        assert pretending.told


async def test_who_says_that_there_is_no_tls_is_told_nothing(keys) -> None:
    """One between could say so in the server's place, and then read along."""
    async with impostor(None, before=((SSL_REQUEST, b"N"),)) as pretending:
        with pytest.raises(ConnectionError, match="rejected SSL upgrade"):
            await _of_postgres(pretending.port, keys)
        assert bytes(pretending.told) == b""

    async with impostor(None, greeting=GREETING, before=((b"\r\n", b"250 mail.example\r\n"),)) as pretending:
        await _of_smtp(pretending.port, keys, "starttls")
        assert b"MAIL" not in pretending.told
        assert b"secret" not in pretending.told


# --- who listens ------------------------------------------------------------------------------------------------------


class Overheard(LocalKafka):
    """A broker that tells its clients to come by the ear's port."""

    ear_port = 0

    def settings(self, logs: Path, controller_port: int) -> dict[str, Any]:
        return {
            **super().settings(logs, controller_port),
            "advertised.listeners": f"BROKER://127.0.0.1:{self.ear_port}",
        }


@dataclass(frozen=True)
class Ears:
    kafka: Ear
    postgres: Ear


@contextlib.contextmanager
def _kafka(keys: Keyring, *, tls: bool, ear_port: int) -> Iterator[LocalKafka]:
    with open_folder() as folder:
        kafka = Overheard(folder, free_port(taken=[ear_port]), secrets=keys.folder, tls=tls)
        kafka.ear_port = ear_port
        with kafka:
            yield kafka


@contextlib.contextmanager
def _postgres(keys: Keyring, *, tls: bool) -> Iterator[LocalPostgres]:
    shown = keys.folder / "database" / "tls.pem" if tls else None
    with open_folder() as folder, LocalPostgres(folder, free_port(), certificate_file=shown) as server:
        yield server


@contextlib.asynccontextmanager
async def _issuing(keys: Keyring, *, tls: bool) -> AsyncIterator[tuple[Ears, bytes]]:
    """An issuer that has issued one certificate, and what was heard between it and its neighbours; the application."""
    ear_port = free_port()
    with _kafka(keys, tls=tls, ear_port=ear_port) as broker, _postgres(keys, tls=tls) as server:
        async with (
            listening_before(broker.port, at=ear_port) as by_kafka,
            listening_before(server.port) as by_postgres,
        ):
            await ensure_topics(broker.access(ADMINISTRATOR))
            await ensure_acls(broker.access(ADMINISTRATOR))
            databases = Databases(DatabaseServer("127.0.0.1", server.port, server.admin_password), keys)
            await databases.ensure_roles()
            await databases.fresh("issuer")
            heard = Databases(DatabaseServer("127.0.0.1", by_postgres.port, server.admin_password), keys)
            access = broker.access("issuer")
            ca_files = {"kafka_ca_file": access.ca_file, "postgres_ca_file": access.ca_file} if tls else {}
            by_the_ear = KafkaAccess(f"127.0.0.1:{ear_port}", access.protocol, "issuer")
            async with running(make_service("issuer", heard, keys, kafka=by_the_ear, **ca_files)) as site:
                application = an_application()
                await send(broker.access("intake"), [a_record(application)])

                async def issued() -> bool:
                    return bool(
                        await site.pool.fetchval("SELECT count(*) FROM guarantee")
                    ) and not await site.pool.fetchval("SELECT count(*) FROM outbox")

                await eventually(issued, 60)
            yield Ears(by_kafka, by_postgres), str(application.application_id).encode()


async def test_who_listens_between_the_parts_hears_nothing(keys) -> None:
    try:
        programs(tls=True)
    except Problem as none_here:
        pytest.skip(str(none_here))
    async with _issuing(keys, tls=True) as (ears, application):
        for ear, clear in ((ears.kafka, _clear_of_kafka(keys, application)), (ears.postgres, _clear_of_postgres())):
            assert len(ear.heard) > 10_000
            assert [told for told in clear if told in ear.heard] == []


async def test_without_tls_the_same_ears_hear_passwords_and_applications(keys) -> None:
    """Else the test above would say nothing."""
    async with _issuing(keys, tls=False) as (ears, application):
        for ear, clear in ((ears.kafka, _clear_of_kafka(keys, application)), (ears.postgres, _clear_of_postgres())):
            assert [told for told in clear if told not in ear.heard] == []


def _clear_of_kafka(keys: Keyring, application: bytes) -> tuple[bytes, ...]:
    return _password(keys).encode(), application, b"akashi.CertificateIssued.v1", CONTRACTOR["name"].encode()


def _clear_of_postgres() -> tuple[bytes, ...]:
    return b"akashi-issuer", b"SELECT", b"SCRAM-SHA-256", CONTRACTOR["name"].encode()
