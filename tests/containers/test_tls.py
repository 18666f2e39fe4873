"""The stack in containers, with TLS between its parts: `compose.yaml` and `deploy/compose.tls.yaml`."""

from collections.abc import Iterator

import pytest

from tests.containers.compose import SERVICES, Compose

#: The first test waits for the build, too.
pytestmark = pytest.mark.timeout(900)

PLAINLY_AT_POSTGRES = """
import asyncio, pathlib, asyncpg
password = pathlib.Path("/run/secrets/akashi/database_password").read_text()
async def enter():
    await asyncpg.connect(host="postgres", user="intake", database="intake", password=password, ssl=False)
try:
    asyncio.run(enter())
except asyncpg.PostgresError as error:
    print(error)
"""
PLAINLY_AT_KAFKA = """
import asyncio, pathlib
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaConnectionError
from chassis.kafka import KafkaAccess
async def enter():
    password = pathlib.Path("/run/secrets/akashi/kafka_password").read_text()
    admin = AIOKafkaAdminClient(**KafkaAccess("kafka:9092", "SASL_PLAINTEXT", "intake", password).options())
    try:
        await admin.start()
    except KafkaConnectionError as error:
        print(type(error).__name__)
    finally:
        await admin.close()
asyncio.run(enter())
"""
PLAINLY_AT_THE_MAIL_BOX = """
import smtplib
with smtplib.SMTP("mailbox", 1025) as server:
    print(server.docmd("MAIL", "FROM:<a@akashi.example>")[0])
"""
SHOWN = """
import socket, ssl, sys
host, port = sys.argv[1].rsplit(":", 1)
context = ssl.create_default_context(cafile="/run/secrets/akashi/ca.pem")
with socket.create_connection((host, int(port)), timeout=5) as plain:
    with context.wrap_socket(plain, server_hostname=host) as secured:
        print(secured.getpeercert()["subject"][0][0][1])
"""
#: By whom it can be asked, and whose certificate is shown.
LISTENERS = {
    "kafka:9092": ("intake", "kafka"),
    "intake:8000": ("registry", "intake"),
    "desk:8000": ("registry", "issuer"),
    "issuer:8000": ("registry", "issuer"),
    "registry:8000": ("intake", "registry"),
    "notifier:8000": ("intake", "notifier"),
    "witness:8000": ("registry", "witness"),
}


@pytest.fixture(scope="module")
def tls_stack() -> Iterator[Compose]:
    with Compose.fresh("deploy/compose.tls.yaml") as fresh:
        fresh.up()
        yield fresh


def test_everything_is_healthy_after_up(tls_stack: Compose) -> None:
    assert tls_stack.all_healthy(), tls_stack.health()


def test_the_demo_plays_and_the_auditor_agrees(tls_stack: Compose) -> None:
    # A stand-in for Mailpit may show its page plainly; mail it takes over TLS only, see below.
    asked = (
        "import ssl, socket; ssl._create_unverified_context().wrap_socket(socket.create_connection(('mailbox', 8025)))"
    )
    page = "http" if "WRONG_VERSION" in _tried(tls_stack, "intake", asked) else "https"

    said = tls_stack.console("demo", "--once", AKASHI_MAILBOX_URL=f"{page}://mailbox:8025")

    assert "All 7 applications came to what they must" in said
    tls_stack.console("audit", "compare", "--settle", "60")
    tls_stack.console("topics", "check")


@pytest.mark.parametrize("place", LISTENERS)
def test_every_part_shows_the_certificate_that_was_made_for_it(tls_stack: Compose, place: str) -> None:
    asker, name = LISTENERS[place]

    assert tls_stack.run(asker, "python", "-c", SHOWN, place).strip() == name


def test_who_speaks_plainly_is_refused(tls_stack: Compose) -> None:
    assert "no encryption" in tls_stack.run("intake", "python", "-c", PLAINLY_AT_POSTGRES)
    assert tls_stack.run("intake", "python", "-c", PLAINLY_AT_KAFKA).strip() == "KafkaConnectionError"
    assert tls_stack.run("notifier", "python", "-c", PLAINLY_AT_THE_MAIL_BOX).strip() == "530"
    for part in SERVICES:
        plainly = "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/health/live', timeout=5)"
        assert "RemoteDisconnected" in _tried(tls_stack, part, plainly)


def test_nobody_sees_the_key_of_another_or_of_the_authority(tls_stack: Compose) -> None:
    keys = "find /run/secrets/akashi -name '*.pem' -readable -path '*tls*'"
    for part in (*SERVICES, "witness", "kafka", "postgres"):
        assert len(tls_stack.run(part, "sh", "-c", keys).split()) == 1


def _tried(stack: Compose, part: str, program: str) -> str:
    """What a program says on its way to its end, whatever that is."""
    return stack.run(part, "sh", "-c", 'python -c "$1" 2>&1', "sh", program, check=False)
