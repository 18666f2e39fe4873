"""Do the four services agree? Over their real databases: every kind of difference made once, and found."""

import asyncio
import contextlib
import json
import uuid
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from aiokafka import AIOKafkaProducer, ConsumerRecord
from typer.testing import CliRunner, Result

from chassis import dead_letters as parked
from console.audit.reconcile import KINDS
from console.audit.reconcile_reading import Reconciliation, reconcile
from console.audit.reconcile_watch import Gauges, watch
from console.dead_letters import letters_of
from console.environment import Stack
from console.main import app
from console.store import Connection, connect
from deploy.local.state import free_port
from deploy.secrets import SERVICES
from reference import reader
from reference.reader import Reference
from schemas.contract_number import compose
from schemas.topics import GROUPS
from tests.integration.console.conftest import environment_of
from tests.support.databases import Databases
from tests.support.keys import Keyring
from tests.support.stack import Broker
from tests.support.waiting import eventually

OLD = timedelta(hours=2)
YOUNG = timedelta(seconds=20)
THRESHOLD = 300


@dataclass(frozen=True)
class Story:
    """One application with one certificate that went all the way, and when."""

    at: datetime
    application: UUID = field(default_factory=uuid.uuid4)
    certificate: UUID = field(default_factory=uuid.uuid4)
    number: str = field(default_factory=lambda: compose("31072", uuid.uuid4().int % 99_999))
    view: UUID = field(default_factory=uuid.uuid4)


class Four:
    """Writes what the services would have written."""

    def __init__(self, stack: Stack, opened: dict[str, Connection]) -> None:
        self.stack = stack
        self._opened = opened

    async def run(self, service: str, statement: str, *arguments: Any) -> None:
        await self._opened[service].execute(statement, *arguments)

    async def story(self, age: timedelta = OLD) -> Story:
        told = Story(datetime.now(UTC) - age)
        await self._intake(told)
        await self._issuer(told)
        await self._registry(told)
        await self._notifier(told)
        return told

    async def application(self, age: timedelta = OLD) -> Story:
        """One that was sent, and that nobody else heard of."""
        told = Story(datetime.now(UTC) - age)
        await self._application(told)
        return told

    async def _application(self, told: Story) -> None:
        await self.run(
            "intake",
            "INSERT INTO contractor (id, name, address, representative) VALUES ('shimotsuke', 'a', 'b', 'c') "
            "ON CONFLICT DO NOTHING",
        )
        submitted = {
            "reference_version": reader.load().version,
            "completion_mail_wanted": True,
            "returned_mail_wanted": False,
            "viewed_mail_wanted": True,
        }
        await self.run(
            "intake",
            "INSERT INTO application (id, contractor_id, surety_id, purchaser_id, submitted, submitted_at) "
            "VALUES ($1, 'shimotsuke', 'toto', 'tochigi', $2, $3)",
            told.application,
            json.dumps(submitted),
            told.at,
        )
        await self.run(
            "intake",
            "INSERT INTO product (application_id, product, form, works_key) "
            "VALUES ($1, 'performance', 'electronic', uuid_send($1))",
            told.application,
        )

    async def _intake(self, told: Story) -> None:
        await self._application(told)
        await self.run("intake", "INSERT INTO queued VALUES ($1, $2)", told.application, told.at)
        await self.run("intake", "INSERT INTO decided VALUES ($1, $2, 'desk', '')", told.application, told.at)
        await self.run(
            "intake",
            "INSERT INTO outcome (application_id, product, outcome, reasons) "
            "VALUES ($1, 'performance', 'accepted', '[]')",
            told.application,
        )
        await self.run(
            "intake",
            "INSERT INTO certificate VALUES ($1, $2, 1, 0, $3, 'performance', $4, '{}', 'hash', '\\x00', '\\x00')",
            told.certificate,
            told.number,
            told.application,
            told.at,
        )
        await self.run(
            "intake",
            "INSERT INTO registration VALUES ($1, $2, $3, 'performance', 'hash', $4)",
            told.certificate,
            told.number,
            told.application,
            told.at,
        )
        await self.run(
            "intake",
            "INSERT INTO view VALUES ($1, $2, $3, $4, $5)",
            told.view,
            told.certificate,
            told.number,
            told.application,
            told.at,
        )
        await self.run(
            "intake",
            "INSERT INTO mail (certificate_id, letter, application_id, outcome, message_id, told_at) "
            "SELECT $1, letter, $2, 'sent', 'm', $3 FROM unnest(ARRAY['completion', 'viewed']) AS l (letter)",
            told.certificate,
            told.application,
            told.at,
        )

    async def _issuer(self, told: Story) -> None:
        submitted = {"contractor": {"name": "a"}, "works": {"name": "b"}}
        outcomes = [{"product": "performance", "outcome": "accepted", "form": "electronic"}]
        await self.run(
            "issuer",
            "INSERT INTO application (id, surety_id, contractor_id, status, submitted, correlation_id, queued_at, "
            "decided_at, outcomes) VALUES ($1, 'toto', 'shimotsuke', 'decided', $2, 'chain', $3, $3, $4)",
            told.application,
            json.dumps(submitted),
            told.at,
            json.dumps(outcomes),
        )
        await self.run(
            "issuer",
            "INSERT INTO guarantee (contract_number, version, change_number, application_id, product, surety_id, "
            "contractor_id, form, amount_yen, issued_at, certificate_id, content, content_sha256, key_digest, "
            "pepper_id) VALUES ($1, 1, 0, $2, 'performance', 'toto', 'shimotsuke', 'electronic', 1, $3, $4, '{}', "
            "'hash', 'digest', 'p')",
            told.number,
            told.application,
            told.at,
            told.certificate,
        )

    async def _registry(self, told: Story) -> None:
        account = uuid.uuid4()
        await self.run(
            "registry",
            "INSERT INTO certificate (certificate_id, contract_number, version, change_number, application_id, "
            "product, surety_id, purchaser_id, issued_at, content, content_sha256, key_digest, pepper_id, "
            "registered_at) VALUES ($1, $2, 1, 0, $3, 'performance', 'toto', 'tochigi', $4, '{}', 'hash', 'digest', "
            "'p', $4)",
            told.certificate,
            told.number,
            told.application,
            told.at,
        )
        await self.run("registry", "INSERT INTO account VALUES ($1, 'purchaser', 'tochigi', 'p')", account)
        await self.run(
            "registry",
            "INSERT INTO view (view_id, certificate_id, account_id, viewed_at) VALUES ($1, $2, $3, $4)",
            told.view,
            told.certificate,
            account,
            told.at,
        )

    async def _notifier(self, told: Story) -> None:
        await self.run(
            "notifier",
            "INSERT INTO delivery (application_id, wished_at, surety_id, branch_id, contractor_name, works_name, "
            "wanted, viewed_wanted, contact_nonce, contact_ciphertext, key_at, data_key_id, wrapped) "
            "VALUES ($1, $2, 'toto', 'b', 'c', 'w', true, true, '\\x00', '\\x00', $2, $1, '\\x00')",
            told.application,
            told.at,
        )
        await self.run(
            "notifier",
            "INSERT INTO letter (certificate_id, letter, application_id, contract_number, product, registered_at, "
            "message_id, correlation_id, state, arrived_at, queued_at, attempts, ended_at) "
            "SELECT $1, letter, $2, $3, 'performance', $4, 'm', 'chain', 'sent', $4, $4, 1, $4 "
            "FROM unnest(ARRAY['completion', 'viewed']) AS l (letter)",
            told.certificate,
            told.application,
            told.number,
            told.at,
        )


@dataclass(frozen=True)
class Look:
    """Compares, and leaves out what other tests left on the dead-letter topics."""

    stack: Stack
    reference: Reference
    known: frozenset[str]

    async def __call__(self, older_than: float = THRESHOLD) -> Reconciliation:
        found = await reconcile(self.stack, self.reference, older_than_seconds=older_than)
        mine = tuple(difference for difference in found.differences if difference.subject not in self.known)
        return Reconciliation(mine, found.counts, found.at, found.older_than_seconds, found.seconds)

    async def kinds(self, older_than: float = THRESHOLD) -> set[str]:
        return {difference.kind for difference in (await self(older_than)).differences}


@pytest.fixture
async def empty(databases: Databases, running_broker: Broker, _topics: None, keys: Keyring) -> Stack:
    """Fresh databases of all four, and every topic."""
    await asyncio.gather(*(databases.fresh(service) for service in SERVICES))
    return Stack(
        running_broker.access.bootstrap, databases.server.host, databases.server.port, keys.folder, "PLAINTEXT"
    )


@contextlib.asynccontextmanager
async def open_four(stack: Stack) -> AsyncIterator[Four]:
    async with contextlib.AsyncExitStack() as opened:
        yield Four(stack, {name: await opened.enter_async_context(connect(stack, name)) for name in SERVICES})


@pytest.fixture
async def four(empty: Stack) -> AsyncIterator[Four]:
    async with open_four(empty) as opened:
        yield opened


@pytest.fixture(scope="module")
async def left(running_broker: Broker, _topics: None) -> frozenset[str]:
    """What other tests left on the dead-letter topics."""
    found = await asyncio.gather(*(letters_of(running_broker.access, group) for group in GROUPS))
    return frozenset(letter.id for letters in found for letter in letters)


@pytest.fixture
def look(empty: Stack, reference: Reference, left: frozenset[str]) -> Look:
    return Look(empty, reference, left)


async def test_nothing_at_all_agrees(look: Look) -> None:
    assert (await look()).agree


async def test_what_went_all_the_way_agrees(four: Four, look: Look) -> None:
    for _ in range(20):
        await four.story()
    await four.story(timedelta(0))

    found = await look()

    assert found.differences == ()
    assert found.counts["applications"] == found.counts["certificates"] == 21
    assert found.counts["outbox"] == found.counts["queued"] == found.counts["on_their_way"] == 0


#: What makes a difference: its kind, where, the statements, and whether it is one only when it is old. $1 is the
#: application.
_LETTER = "application_id = $1 AND letter = 'completion'"
_RECORD = "record_topic = 't', record_headers = '[]'"
_FORGET_VIEW = (
    "DELETE FROM view WHERE certificate_id IN (SELECT certificate_id FROM certificate WHERE application_id = $1)"
)
MADE = [
    (
        "application_unanswered",
        "issuer",
        ["DELETE FROM guarantee WHERE application_id = $1", "DELETE FROM application WHERE id = $1"],
        None,
    ),
    ("queue_unknown_to_intake", "intake", ["DELETE FROM queued WHERE application_id = $1"], True),
    ("decision_unknown_to_intake", "intake", ["DELETE FROM decided WHERE application_id = $1"], True),
    (
        "decision_without_issuer",
        "issuer",
        ["UPDATE application SET status = 'queued', decided_at = NULL WHERE id = $1"],
        False,
    ),
    ("decision_differs", "intake", ["UPDATE outcome SET outcome = 'returned' WHERE application_id = $1"], False),
    (
        "withdrawal_unanswered",
        "intake",
        ["UPDATE application SET withdrawal_requested_at = submitted_at WHERE id = $1"],
        True,
    ),
    ("withdrawal_unknown_to_intake", "issuer", ["UPDATE application SET withdrawal = 'refused' WHERE id = $1"], False),
    ("withdrawal_differs", "intake", ["INSERT INTO withdrawal VALUES ($1, 'withdrawn', now())"], False),
    ("issued_unregistered", "registry", [_FORGET_VIEW, "DELETE FROM certificate WHERE application_id = $1"], None),
    ("registered_unissued", "issuer", ["DELETE FROM guarantee WHERE application_id = $1"], False),
    ("copies_differ", "registry", ["UPDATE certificate SET content_sha256 = 'other' WHERE application_id = $1"], False),
    ("copies_differ", "intake", ["UPDATE registration SET content_sha256 = 'other' WHERE application_id = $1"], False),
    ("issued_unknown_to_intake", "intake", ["DELETE FROM certificate WHERE application_id = $1"], True),
    ("copy_without_issuer", "issuer", ["DELETE FROM guarantee WHERE application_id = $1"], False),
    ("registered_unknown_to_intake", "intake", ["DELETE FROM registration WHERE application_id = $1"], True),
    (
        "arrival_without_registry",
        "registry",
        [_FORGET_VIEW, "DELETE FROM certificate WHERE application_id = $1"],
        False,
    ),
    ("view_unknown_to_intake", "intake", ["DELETE FROM view WHERE application_id = $1"], True),
    ("view_without_registry", "registry", [_FORGET_VIEW], False),
    (
        "wish_unknown_to_notifier",
        "notifier",
        ["UPDATE delivery SET wished_at = NULL, wrapped = NULL WHERE application_id = $1"],
        True,
    ),
    ("wish_differs", "notifier", ["UPDATE delivery SET viewed_wanted = false WHERE application_id = $1"], False),
    (
        "wish_differs",
        "intake",
        [
            "UPDATE application SET surety_id = 'nankai', submitted = '{\"viewed_mail_wanted\": true}' WHERE id = $1",
            "UPDATE application SET submitted = '{}' WHERE id = $1",
        ],
        False,
    ),
    ("letter_is_missing", "notifier", ["DELETE FROM letter WHERE application_id = $1"], None),
    ("letter_is_missing", "notifier", ["DELETE FROM letter WHERE application_id = $1 AND letter = 'viewed'"], None),
    ("letter_without_cause", "registry", [_FORGET_VIEW, "DELETE FROM certificate WHERE application_id = $1"], False),
    ("letter_against_wish", "notifier", [f"UPDATE letter SET state = 'not_wished' WHERE {_LETTER}"], False),
    ("letter_against_wish", "notifier", ["UPDATE delivery SET wanted = false WHERE application_id = $1"], False),
    (
        "letter_is_late",
        "notifier",
        [f"UPDATE letter SET state = 'queued', ended_at = NULL, due_at = arrived_at WHERE {_LETTER}"],
        None,
    ),
    (
        "letter_is_late",
        "notifier",
        [f"UPDATE letter SET state = 'sending', ended_at = NULL, due_at = arrived_at WHERE {_LETTER}"],
        None,
    ),
    ("letter_is_unclear", "notifier", [f"UPDATE letter SET state = 'unknown', ended_at = NULL WHERE {_LETTER}"], False),
    (
        "surety_not_told",
        "notifier",
        [f"UPDATE letter SET state = 'undeliverable', reason = 'refused' WHERE {_LETTER}"],
        False,
    ),
    ("mail_unknown_to_intake", "intake", ["DELETE FROM mail WHERE application_id = $1"], True),
    ("mail_differs", "intake", ["UPDATE mail SET outcome = 'undeliverable' WHERE application_id = $1"], False),
    ("mail_differs", "notifier", ["DELETE FROM letter WHERE application_id = $1"], False),
    ("half_waits", "notifier", [f"UPDATE letter SET state = 'waiting', {_RECORD} WHERE {_LETTER}"], None),
    ("half_waits", "notifier", [f"UPDATE letter SET state = 'parked' WHERE {_LETTER}"], False),
    ("half_waits", "notifier", ["UPDATE delivery SET wrapped = NULL WHERE application_id = $1"], True),
    ("half_waits", "notifier", ["UPDATE delivery SET wished_at = NULL WHERE application_id = $1"], True),
    (
        "outbox_stands",
        "registry",
        [
            "INSERT INTO outbox (topic, headers, created_at) SELECT 't', '[]', registered_at FROM certificate WHERE application_id = $1"
        ],
        True,
    ),
]


def test_every_kind_is_made_somewhere_here() -> None:
    elsewhere = {"application_unknown_to_intake", "dead_letter_waits"}

    assert {kind for kind, *_ in MADE} | elsewhere == set(KINDS)


@pytest.mark.parametrize(("kind", "service", "statements", "_in_flight"), MADE)
async def test_a_difference_is_found(
    four: Four, look: Look, kind: str, service: str, statements: Iterable[str], _in_flight: bool | None
) -> None:
    told = await four.story()
    await four.story()
    for statement in statements:
        await four.run(service, statement, told.application)

    found = await look()

    subjects = {difference.subject for difference in found.differences if difference.kind == kind}
    ids = {str(told.application), str(told.certificate), str(told.view), service}
    assert subjects
    assert subjects <= ids


@pytest.mark.parametrize(
    ("kind", "service", "statements", "_in_flight"), [made for made in MADE if made[3] is not False]
)
async def test_what_is_younger_than_the_threshold_is_on_its_way(
    four: Four, look: Look, kind: str, service: str, statements: Iterable[str], _in_flight: bool | None
) -> None:
    told = await four.story(YOUNG)
    for statement in statements:
        await four.run(service, statement, told.application)

    assert kind not in await look.kinds()
    # Nothing else is said of what is merely under way.
    assert _in_flight is None or await look.kinds() == set()
    assert kind in await look.kinds(older_than=1)


async def test_an_application_that_intake_lost_is_found(four: Four, look: Look) -> None:
    told = await four.story(YOUNG)
    for table in ("mail", "view", "registration", "certificate", "outcome", "decided", "queued", "product"):
        await four.run("intake", f"DELETE FROM {table} WHERE application_id = $1", told.application)
    await four.run("intake", "DELETE FROM application WHERE id = $1", told.application)

    found = await look()

    assert [(d.kind, d.subject) for d in found.differences] == [
        ("application_unknown_to_intake", str(told.application))
    ]


async def test_what_waits_at_the_desk_is_counted_and_no_difference(four: Four, look: Look) -> None:
    told = await four.application()
    await four.run("intake", "INSERT INTO queued VALUES ($1, $2)", told.application, told.at)
    await four.run(
        "issuer",
        "INSERT INTO application (id, surety_id, contractor_id, status, submitted, correlation_id, queued_at) "
        "VALUES ($1, 'toto', 'shimotsuke', 'queued', '{}', 'chain', $2)",
        told.application,
        told.at,
    )
    await four.run(
        "notifier",
        "INSERT INTO delivery (application_id, wished_at, surety_id, branch_id, contractor_name, works_name, wanted, "
        "viewed_wanted) VALUES ($1, $2, 'toto', 'b', 'c', 'w', true, true)",
        told.application,
        told.at,
    )

    found = await look()

    assert found.differences == ()
    assert found.counts["queued"] == 1


async def test_an_application_just_sent_is_counted_as_unanswered(four: Four, look: Look) -> None:
    await four.application(YOUNG)

    found = await look()

    assert found.differences == ()
    assert found.counts["unanswered"] == 1


async def test_a_letter_that_a_server_put_off_is_counted_until_nobody_tries_again(four: Four, look: Look) -> None:
    told = await four.story()
    put_off = (
        "UPDATE letter SET state = 'queued', ended_at = NULL, deferrals = 3, due_at = $2 WHERE application_id = $1"
    )
    await four.run("intake", "DELETE FROM mail WHERE application_id = $1", told.application)
    await four.run("notifier", put_off, told.application, datetime.now(UTC) + timedelta(minutes=30))

    found = await look()

    assert found.differences == ()
    assert found.counts["letters_put_off"] == 2
    await four.run("notifier", put_off, told.application, datetime.now(UTC) - timedelta(minutes=30))
    assert await look.kinds() == {"letter_is_late"}


async def test_a_return_that_was_to_be_told_by_mail_is_looked_for(four: Four, look: Look) -> None:
    told = await four.story()
    returned = [{"product": "performance", "outcome": "returned"}]
    wish = json.dumps({"completion_mail_wanted": True, "returned_mail_wanted": True, "viewed_mail_wanted": True})
    await four.run("intake", "UPDATE application SET submitted = $2 WHERE id = $1", told.application, wish)
    await four.run("intake", "UPDATE outcome SET outcome = 'returned' WHERE application_id = $1", told.application)
    await four.run(
        "issuer", "UPDATE application SET outcomes = $2 WHERE id = $1", told.application, json.dumps(returned)
    )
    await four.run("notifier", "UPDATE delivery SET returned_wanted = true WHERE application_id = $1", told.application)

    found = await look()

    assert [(d.kind, d.subject) for d in found.differences] == [("letter_is_missing", str(told.application))]


async def test_a_given_up_letter_that_the_surety_was_told_of_is_an_outcome(four: Four, look: Look) -> None:
    told = await four.story()
    await four.run("intake", "UPDATE mail SET outcome = 'undeliverable' WHERE application_id = $1", told.application)
    await four.run(
        "notifier",
        "UPDATE letter SET state = 'undeliverable', reason = 'refused' WHERE application_id = $1",
        told.application,
    )
    await four.run(
        "notifier",
        "INSERT INTO letter (certificate_id, letter, application_id, registered_at, correlation_id, state, arrived_at) "
        "SELECT certificate_id, 'undeliverable.' || letter, application_id, registered_at, 'chain', 'sent', arrived_at "
        "FROM letter WHERE application_id = $1",
        told.application,
    )

    assert (await look()).differences == ()


async def test_personal_data_that_was_erased_leaves_no_half(four: Four, look: Look) -> None:
    told = await four.story()
    await four.run(
        "notifier",
        "UPDATE delivery SET shredded_at = now(), wrapped = NULL, contact_nonce = NULL, contact_ciphertext = NULL "
        "WHERE application_id = $1",
        told.application,
    )

    assert (await look()).differences == ()


async def park(stack: Stack, parked_at: datetime) -> str:
    record = ConsumerRecord("certificates.v1", 3, uuid.uuid4().int % 10**9, 0, 0, b"key", b"{}", None, 0, 0, ())
    letter = parked.letter(record, group="registry", reason="oversized", now=parked_at)
    async with AIOKafkaProducer(**stack.kafka_administrator.options()) as producer:
        await producer.send_and_wait(letter.topic, key=letter.key, value=letter.value, headers=list(letter.headers))
    return dict(letter.headers)[parked.ID].decode()


async def test_a_dead_letter_that_waits_is_found_when_it_is_old(empty: Stack, look: Look) -> None:
    old = await park(empty, datetime.now(UTC) - OLD)
    await park(empty, datetime.now(UTC) - YOUNG)

    found = await look()

    assert [(d.kind, d.subject) for d in found.differences] == [("dead_letter_waits", old)]
    assert "registry, oversized" in found.differences[0].detail


async def test_watching_serves_what_it_finds_and_goes_on_when_it_is_mended(four: Four, look: Look) -> None:
    told = await four.story()
    gauges, port = Gauges(), free_port()
    stop = gauges.serve("127.0.0.1", port)
    complaints: list[object] = []

    async def served() -> dict[str, float]:
        async with httpx.AsyncClient() as http:
            text = (await http.get(f"http://127.0.0.1:{port}/metrics")).text
        return {
            name: float(value)
            for name, _, value in (line.rpartition(" ") for line in text.splitlines() if line[0] != "#")
        }

    async def shows(kind: str, count: int) -> bool:
        return (await served())[f'akashi_reconcile_differences{{kind="{kind}"}}'] == count

    watching = asyncio.create_task(
        watch(look, every_seconds=0.1, gauges=gauges, tell=lambda _: None, complain=complaints.append)
    )
    try:
        await eventually(lambda: shows("half_waits", 0))
        await four.run("notifier", f"UPDATE letter SET state = 'parked' WHERE {_LETTER}", told.application)
        await eventually(lambda: shows("half_waits", 1))
        await four.run("notifier", f"UPDATE letter SET state = 'sent' WHERE {_LETTER}", told.application)
        await eventually(lambda: shows("half_waits", 0))
        found = await served()
    finally:
        watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watching
        stop()

    assert {f'akashi_reconcile_differences{{kind="{kind}"}}' for kind in KINDS} <= found.keys()
    assert found["akashi_reconcile_seconds"] > 0
    assert found["akashi_reconcile_looked_timestamp_seconds"] > 0
    assert complaints == []


async def test_watching_outlives_a_database_that_is_away(reference: Reference, empty: Stack) -> None:
    elsewhere = Stack(empty.kafka_bootstrap, "127.0.0.1", free_port(), empty.secrets_dir)
    complaints: list[object] = []
    watching = asyncio.create_task(
        watch(
            lambda: reconcile(elsewhere, reference, older_than_seconds=THRESHOLD),
            every_seconds=0.01,
            gauges=Gauges(),
            tell=lambda _: None,
            complain=complaints.append,
        )
    )

    await eventually(lambda: len(complaints) > 1)

    watching.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await watching
    assert "PostgreSQL" in str(complaints[0])


def typed(stack: Stack, *arguments: str) -> Result:
    return CliRunner(env=environment_of(stack)).invoke(app, ("audit", "reconcile", *arguments), catch_exceptions=False)


def test_the_command_exits_by_what_it_found(empty: Stack) -> None:
    async def tell() -> Story:
        async with open_four(empty) as opened:
            told = await opened.story()
            await opened.run("registry", _FORGET_VIEW, told.application)
            await opened.run("registry", "DELETE FROM certificate WHERE application_id = $1", told.application)
            return told

    told = asyncio.run(tell())
    words, document = typed(empty), typed(empty, "--json")
    nowhere = typed(Stack(empty.kafka_bootstrap, "127.0.0.1", free_port(), empty.secrets_dir))

    assert words.exit_code == document.exit_code == 1
    assert f"issued_unregistered {told.certificate}: " in words.stdout
    assert "1 issued_unregistered" in words.stderr
    found = json.loads(document.stdout)
    assert found["agree"] is False
    assert {"kind", "subject", "detail"} == set(found["differences"][0])
    assert nowhere.exit_code == 2
    assert "PostgreSQL" in nowhere.stderr


def test_a_port_without_watching_is_refused() -> None:
    done = CliRunner(env={"AKASHI_STATE": "/nonexistent"}).invoke(app, ["audit", "reconcile", "--metrics-port", "9"])

    assert done.exit_code == 1
    assert "--watch" in done.stderr
