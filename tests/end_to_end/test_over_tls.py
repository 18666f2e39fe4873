"""The whole stack with TLS between all its parts, as `akashi up --tls` starts it."""

import asyncio
import dataclasses
import smtplib
import socket
import ssl
import sys
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import httpx
import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaConnectionError

from chassis.kafka import KafkaAccess
from chassis.tls import trusting
from console import store
from deploy.certificates import make_tls_authority
from deploy.local.postgres import programs
from deploy.local.problem import Problem
from deploy.secrets import LISTENERS
from tests.fault.load import has_come_to_its_end, mails_told, send
from tests.support.auditing import auditors_check
from tests.support.running import RunningStack, eventually, log_lines, running_stack
from tests.support.stack import in_containers

#: Part of the stack → whose certificate it shows.
SHOWS = {"kafka": "broker", "mailbox": "mailbox", "witness": "witness", "smtp": "mailbox"} | {
    service: service for service in ("intake", "issuer", "registry", "notifier")
}
HTTP = ("intake", "issuer", "registry", "notifier", "mailbox", "witness")


@pytest.fixture(scope="module")
async def tls_stack() -> AsyncIterator[RunningStack]:
    if in_containers():
        pytest.skip("the local stack is started with TLS")
    try:
        programs(tls=True)
    except Problem as none_here:
        pytest.skip(str(none_here))
    async with running_stack(tls=True) as running:
        yield running


@pytest.fixture
def stranger(tmp_path: Path) -> Path:
    """The certificate of an authority that is not this deployment's."""
    file = tmp_path / "ca.pem"
    file.write_bytes(make_tls_authority(datetime.now(UTC)).certificate_pem)
    return file


def _port(stack: RunningStack, part: str) -> int:
    if part == "smtp":
        return int(stack.environment["AKASHI_PORT_SMTP"])
    return int(stack.part(part).address.rpartition(":")[2])


async def test_applications_become_certificates_and_mails_and_the_auditor_agrees(
    tls_stack: RunningStack, tmp_path: Path
) -> None:
    contractor = await tls_stack.contractor(f"tls-{uuid.uuid4().hex[:8]}")
    purchaser = await tls_stack.purchaser("tochigi")
    sent = await send(contractor, 6)

    async def all_is_done() -> bool:
        done = await has_come_to_its_end(contractor, sent)
        return done and await mails_told(contractor, "sent") == sent.wished_mails

    await eventually(all_is_done, 60)
    guarantees = await contractor.all_items("/api/guarantees")
    # One on paper has no key.
    number = next(one["contract_number"] for one in guarantees if one["form"] == "electronic")
    key = (await contractor.document(f"/api/guarantees/{number}/authentication-key"))["authentication_key"]
    seen = await purchaser.call(
        "POST", "/api/certificates/lookup", {"contract_number": number, "authentication_key": key}
    )

    assert seen.status_code == httpx.codes.OK
    assert seen.json()["contract_number"] == number
    assert sent.wished_mails > 0
    # By all that the console reads and replays, and an export that verifies.
    await auditors_check(tls_stack, tmp_path / "export")


async def test_the_witness_cosigns(tls_stack: RunningStack) -> None:
    async with tls_stack.http("registry") as registry:

        async def cosigned() -> bool:
            lines = (await registry.get("/metrics")).text.splitlines()
            sizes = [line.rsplit(" ", 1)[1] for line in lines if line.startswith("akashi_log_cosigned_size{")]
            return bool(sizes) and float(sizes[0]) > 0

        await eventually(cosigned, 30)


@pytest.mark.parametrize(
    "command", ["status", "topics check", "migrate --status", "dead-letters list", "audit compare --settle 30"]
)
async def test_commands_find_their_way(tls_stack: RunningStack, command: str) -> None:
    ended, said = await _akashi(tls_stack, *command.split())

    assert ended == 0, said


@pytest.mark.parametrize(
    ("options", "code", "says"),
    [(["--tls"], 0, "ca.pem, for browsers"), ([], 1, "The stack is up with TLS: `make down` first.")],
    ids=["with", "without"],
)
async def test_who_asks_for_it_again_is_told_how_it_speaks(
    tls_stack: RunningStack, options: list[str], code: int, says: str
) -> None:
    ended, said = await _akashi(tls_stack, "up", *options)

    assert ended == code, said
    assert says in said


@pytest.mark.parametrize("part", sorted(SHOWS))
def test_every_part_shows_the_certificate_that_was_made_for_it(tls_stack: RunningStack, part: str) -> None:
    ours = trusting(tls_stack.state / "secrets" / "operator" / "ca.pem")
    port = _port(tls_stack, part)
    if part == "smtp":
        with smtplib.SMTP("127.0.0.1", port) as server:
            server.starttls(context=ours)
            assert isinstance(server.sock, ssl.SSLSocket)
            shown = server.sock.getpeercert()
    else:
        with (
            socket.create_connection(("127.0.0.1", port), timeout=5) as plain,
            ours.wrap_socket(plain, server_hostname="127.0.0.1") as secured,
        ):
            shown = secured.getpeercert()

    assert shown is not None
    names = [entry[1] for entry in shown["subjectAltName"] if entry[0] == "DNS"]
    assert names == [*LISTENERS[SHOWS[part]], "localhost"]


async def test_kafka_hears_nobody_who_speaks_plainly(tls_stack: RunningStack) -> None:
    right = tls_stack.console.kafka
    plain = KafkaAccess(right.bootstrap, "SASL_PLAINTEXT", right.user, right.password)

    assert right.protocol == "SASL_SSL"
    with pytest.raises(KafkaConnectionError):
        await _start(plain)


async def test_postgresql_lets_nobody_in_who_speaks_plainly(tls_stack: RunningStack) -> None:
    console = tls_stack.console
    password = console.secret("issuer/database_password")

    with pytest.raises(asyncpg.InvalidAuthorizationSpecificationError, match="no encryption"):
        await asyncpg.connect(
            host="127.0.0.1",
            port=console.postgres_port,
            user="issuer",
            database="issuer",
            password=password,
            ssl=False,
        )
    async with store.connect(console, "issuer") as connection:
        assert await connection.fetchval("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
        plain = await connection.fetchval(
            "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) "
            "WHERE NOT ssl AND client_port IS NOT NULL"
        )
        assert plain == 0


def test_the_mail_box_takes_no_mail_in_the_clear(tls_stack: RunningStack) -> None:
    with (
        smtplib.SMTP("127.0.0.1", _port(tls_stack, "smtp")) as server,
        pytest.raises(smtplib.SMTPResponseException) as refused,
    ):
        server.sendmail("a@akashi.example", ["b@akashi.example"], b"Subject: x\r\n\r\nx")

    assert refused.value.smtp_code == 530


@pytest.mark.parametrize("part", HTTP)
def test_pages_and_apis_answer_nobody_who_speaks_plainly(tls_stack: RunningStack, part: str) -> None:
    with pytest.raises(httpx.TransportError):
        httpx.get(f"http://127.0.0.1:{_port(tls_stack, part)}/", trust_env=False)


async def test_who_trusts_another_authority_speaks_to_none_of_them(tls_stack: RunningStack, stranger: Path) -> None:
    misled = dataclasses.replace(tls_stack.console, kafka_ca_file=stranger, postgres_ca_file=stranger)

    with pytest.raises(KafkaConnectionError):
        await _start(misled.kafka)
    with pytest.raises(Problem, match=r"not the PostgreSQL to trust .*told nothing"):
        async with store.connect(misled, "issuer"):
            pass
    for part in HTTP:
        async with httpx.AsyncClient(verify=trusting(stranger), trust_env=False) as client:
            with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
                await client.get(tls_stack.url(part))


@pytest.mark.parametrize(
    ("command", "variable", "says"),
    [
        (
            "topics check",
            "AKASHI_KAFKA_CA_FILE",
            "is not the Kafka to trust (unable to get local issuer certificate)",
        ),
        ("migrate --status", "AKASHI_POSTGRES_CA_FILE", "is not the PostgreSQL to trust"),
        ("topics check", "missing", "can't be read: No such file or directory."),
    ],
    ids=["kafka", "postgres", "missing"],
)
async def test_a_command_says_in_a_sentence_whom_it_does_not_trust(
    tls_stack: RunningStack, stranger: Path, command: str, variable: str, says: str
) -> None:
    named = {"AKASHI_KAFKA_SECURITY_PROTOCOL": "SASL_SSL"}
    if variable == "missing":
        named["AKASHI_KAFKA_CA_FILE"] = str(stranger.with_name("missing.pem"))
    else:
        named[variable] = str(stranger)

    ended, said = await _akashi(tls_stack, *command.split(), **named)

    assert ended == 1
    assert says in said
    assert len(said.strip().splitlines()) == 1


async def test_no_service_found_a_certificate_to_distrust(tls_stack: RunningStack) -> None:
    for service in ("intake", "issuer", "registry", "notifier"):
        assert not [
            line for line in log_lines(tls_stack, service) if "CERTIFICATE" in str(line) or "certificate" in line
        ]


async def _akashi(stack: RunningStack, *arguments: str, **settings: str) -> tuple[int | None, str]:
    """How a command ended, and what it said."""
    asked = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "console.main", *arguments),
        env={**stack.environment, **settings},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await asked.communicate()
    return asked.returncode, said.decode()


async def _start(access: KafkaAccess) -> None:
    admin = AIOKafkaAdminClient(**access.options(), request_timeout_ms=5000)
    try:
        await admin.start()
    finally:
        await admin.close()
