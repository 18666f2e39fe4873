"""One guarantee's trail, over real topics and real databases: what two records tell, and nothing of its neighbours."""

import asyncio
import contextlib
import json
import uuid
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from aiokafka import AIOKafkaProducer, ConsumerRecord
from pypdf import PdfReader

from chassis import dead_letters as parked
from chassis.decoding import ORIGIN_TOPIC
from console.audit.trail import Trail
from console.audit.trail_reading import NothingFound, trail
from console.environment import Stack
from console.store import Connection, connect
from deploy.secrets import SERVICES
from schemas import topics
from schemas.certificates import CertificateIssued
from schemas.contract_number import compose
from schemas.data_keys import DataKeyWrapped, WrappedKey
from schemas.decisions import DeskDecisionMade
from schemas.envelope import Cause, Message, message_of
from schemas.event import Event
from schemas.notifications import MailSent
from schemas.views import CertificateViewed
from tests.support.databases import Databases
from tests.support.keys import Keyring
from tests.support.stack import Broker
from tests.unit.console import events

DIGEST = events.issued().authentication_key.digest
SEALED = "U0VBTEVEVEVYVA=="
WORDS = "どこにも書いてはならない連絡"


def new_number() -> str:
    return compose("31072", uuid.uuid4().int % 99_999)


@dataclass(frozen=True)
class Story:
    """An application with one electronic product and one on paper."""

    application: UUID = field(default_factory=uuid.uuid4)
    certificate: UUID = field(default_factory=uuid.uuid4)
    number: str = field(default_factory=new_number)
    on_paper: str = field(default_factory=new_number)
    view: UUID = field(default_factory=uuid.uuid4)

    @property
    def issued(self) -> CertificateIssued:
        return events.issued(self.certificate, self.application, self.number)

    def told(self) -> list[Event]:
        products = (("performance", "electronic"), ("advance_payment", "paper"))
        outcomes = (events.outcome(), events.outcome("advance_payment", "paper", number=self.on_paper))
        about = {"certificate_id": self.certificate, "contract_number": self.number, "application_id": self.application}
        later = events.ARRIVED + timedelta(minutes=1)
        return [
            DataKeyWrapped(
                application_id=self.application,
                data_key_id=self.view,
                created_at=events.MOMENT,
                wrapped_for=(WrappedKey(reader="issuer", wrapped=SEALED),),
            ),
            events.submitted(self.application, products),
            events.queued(self.application),
            DeskDecisionMade(
                application_id=self.application,
                decided_at=events.MOMENT,
                decided_by=events.ACCOUNT,
                person="審査　花子",
                outcome="accepted",
                message=WORDS,
            ),
            events.decided(self.application, outcomes, decided_by="desk", message=WORDS),
            self.issued,
            events.registered(self.issued),
            MailSent(letter="completion", message_id="<m@example.test>", sent_at=later, attempts=1, **about),
            CertificateViewed(
                view_id=self.view,
                version=1,
                purchaser_id="tochigi",
                viewed_by=events.ACCOUNT,
                viewed_at=later + timedelta(minutes=1),
                **about,
            ),
        ]


class World:
    """Stands in for the services."""

    def __init__(self, stack: Stack, producer: AIOKafkaProducer, opened: dict[str, Connection]) -> None:
        self.stack = stack
        self._producer = producer
        self._opened = opened

    async def tell(self, told: Iterable[Event], *, chain: str = "chain-of-the-request") -> None:
        for event in told:
            topic = topics.of_event(type(event))
            cause = Cause(chain, str(told_before(event)) if told_before(event) else None)
            await self.send(message_of(event, source=topic.writer, topic=topic.name, cause=cause))

    async def send(self, message: Message) -> None:
        await self._producer.send_and_wait(
            message.topic, key=message.key, value=message.value, headers=list(message.headers)
        )

    async def run(self, service: str, statement: str, *arguments: Any) -> None:
        await self._opened[service].execute(statement, *arguments)

    async def keep(self, story: Story) -> None:
        """What the services note beside their events."""
        person, later = uuid.uuid4(), events.ARRIVED + timedelta(hours=1)
        await self.run(
            "intake",
            "INSERT INTO contractor (id, name, address, representative) VALUES ('shimotsuke', 'a', 'b', 'c') "
            "ON CONFLICT DO NOTHING",
        )
        await self.run("intake", "INSERT INTO account VALUES ($1, 'contractor', 'shimotsuke', '下野　一郎')", person)
        await self.run(
            "intake",
            "INSERT INTO application (id, contractor_id, surety_id, purchaser_id, submitted, submitted_at) "
            "VALUES ($1, 'shimotsuke', 'toto', 'tochigi', '{}', $2)",
            story.application,
            events.MOMENT,
        )
        await self.run(
            "intake",
            "INSERT INTO product (application_id, product, form, works_key) "
            "VALUES ($1, 'performance', 'electronic', uuid_send($1))",
            story.application,
        )
        await self.run(
            "intake",
            "INSERT INTO certificate VALUES ($1, $2, 1, 0, $3, 'performance', $4, '{}', 'hash', 'nonce', 'ciphertext')",
            story.certificate,
            story.number,
            story.application,
            events.MOMENT,
        )
        await self.run(
            "intake",
            "INSERT INTO key_disclosure VALUES ($1, $2, $3, $4)",
            uuid.uuid4(),
            story.certificate,
            person,
            later,
        )
        await self._keep_at_issuer(story)
        await self._keep_at_notifier(story)

    async def _keep_at_issuer(self, story: Story) -> None:
        await self.run(
            "issuer",
            "INSERT INTO application (id, surety_id, contractor_id, status, submitted, correlation_id) "
            "VALUES ($1, 'toto', 'shimotsuke', 'decided', '{}', 'chain')",
            story.application,
        )
        for contract_number, product, form in (
            (story.number, "performance", "electronic"),
            (story.on_paper, "advance_payment", "paper"),
        ):
            is_paper = form == "paper"
            await self.run(
                "issuer",
                "INSERT INTO guarantee (contract_number, version, change_number, application_id, product, surety_id, "
                "contractor_id, form, amount_yen, issued_at, certificate_id, content, content_sha256, key_digest, "
                "printed_at) VALUES ($1, 1, 0, $2, $3, 'toto', 'shimotsuke', $4, 1, $5, $6, '{}', 'hash', $7, $8)",
                contract_number,
                story.application,
                product,
                form,
                events.MOMENT,
                uuid.uuid4() if is_paper else story.certificate,
                None if is_paper else DIGEST,
                events.ARRIVED if is_paper else None,
            )
        await self.run(
            "issuer",
            "INSERT INTO rejection (application_id, outcome, proposed_by, proposer, proposed_at, rejected_by, person, "
            "rejected_at, message) VALUES ($1, 'returned', $2, '起案　太郎', $3, $2, '審査　花子', $3, $4)",
            story.application,
            events.ACCOUNT,
            events.MOMENT,
            WORDS,
        )

    async def _keep_at_notifier(self, story: Story) -> None:
        await self.run("notifier", "INSERT INTO delivery (application_id) VALUES ($1)", story.application)
        await self.run(
            "notifier",
            "INSERT INTO letter (certificate_id, letter, application_id, contract_number, product, registered_at, "
            "message_id, correlation_id, state, arrived_at, attempts, ended_at) "
            "VALUES ($1, 'completion', $2, $3, 'performance', $4, '<m@example.test>', 'chain', 'sent', $4, 1, $5)",
            story.certificate,
            story.application,
            story.number,
            events.ARRIVED,
            events.ARRIVED + timedelta(minutes=1),
        )


def told_before(event: Event) -> UUID | None:
    """The event that led to this one, where the test has one."""
    match event:
        case CertificateIssued():
            return events.decided(event.application_id).event_id
    return None


@contextlib.asynccontextmanager
async def open_world(stack: Stack) -> AsyncIterator[World]:
    async with contextlib.AsyncExitStack() as opened:
        producer = await opened.enter_async_context(AIOKafkaProducer(**stack.kafka_administrator.options()))
        connections = {name: await opened.enter_async_context(connect(stack, name)) for name in SERVICES}
        yield World(stack, producer, connections)


@pytest.fixture
async def ready(databases: Databases, running_broker: Broker, _topics: None, keys: Keyring) -> Stack:
    """Another stack than the folder's, whose log and registry must stay equal."""
    await asyncio.gather(*(databases.fresh(service) for service in SERVICES))
    return Stack(
        running_broker.access.bootstrap, databases.server.host, databases.server.port, keys.folder, "PLAINTEXT"
    )


@pytest.fixture
async def world(ready: Stack) -> AsyncIterator[World]:
    async with open_world(ready) as opened:
        yield opened


def types(found: Trail) -> list[str]:
    return [entry.type for entry in found.entries]


WHOLE = [
    "DataKeyWrapped",
    "ApplicationSubmitted",
    "ApplicationQueued",
    "DecisionProposed",
    "ProposalRejected",
    "DeskDecisionMade",
    "ApplicationDecided",
    "CertificateIssued",
    "CertificateRegistered",
    "LetterNoted",
    "MailSent",
    "LetterEnded",
    "CertificateViewed",
    "KeyDisclosed",
]


async def test_everything_about_a_number_is_told_in_order(world: World) -> None:
    story, neighbour = Story(), Story()
    for each in (story, neighbour):
        await world.tell(reversed(each.told()))
        await world.keep(each)

    found = await trail(world.stack, story.number)

    assert types(found) == WHOLE
    assert found.application_id == story.application
    assert found.contract_numbers == (story.number,)
    by_type = {entry.type: entry for entry in found.entries}
    assert by_type["KeyDisclosed"].says == f"認証キーを表示 key disclosed: {story.number} 第1版 version 1; 下野　一郎"
    assert by_type["KeyDisclosed"].source == "intake.key_disclosure"
    assert by_type["CertificateIssued"].correlation_id == "chain-of-the-request"
    topic, partition, offset = by_type["CertificateIssued"].source.split(":")
    assert (topic, partition.isdecimal(), offset.isdecimal()) == ("certificates.v1", True, True)


async def test_a_number_may_be_typed_as_people_type_it(world: World) -> None:
    story = Story()
    await world.tell(story.told())

    found = await trail(world.stack, story.number.replace("-", "").translate({ord("0"): "０"}))

    assert found.contract_numbers == (story.number,)


async def test_an_application_tells_of_all_its_guarantees(world: World) -> None:
    story = Story()
    await world.tell(story.told())
    await world.keep(story)

    found = await trail(world.stack, str(story.application))

    assert sorted(found.contract_numbers) == sorted((story.number, story.on_paper))
    assert sorted(types(found)) == sorted([*WHOLE, "PaperPrinted"])


async def test_a_number_on_paper_leads_to_its_application_and_not_to_the_electronic_one(world: World) -> None:
    story = Story()
    await world.tell(story.told())
    await world.keep(story)

    found = await trail(world.stack, story.on_paper)

    assert "PaperPrinted" in types(found)
    assert "ApplicationDecided" in types(found)
    assert not {"CertificateIssued", "CertificateRegistered", "MailSent", "KeyDisclosed"} & set(types(found))


async def test_a_number_on_paper_that_the_issuer_lost_is_found_in_its_decision(world: World) -> None:
    story = Story()
    await world.tell(story.told())

    found = await trail(world.stack, story.on_paper)

    assert found.application_id == story.application


async def test_what_was_told_twice_is_told_once_with_its_count(world: World) -> None:
    story = Story()
    await world.tell([*story.told(), story.issued, story.issued])

    found = await trail(world.stack, story.number)

    assert [entry.repeats for entry in found.entries if entry.type == "CertificateIssued"] == [2]


async def test_what_was_erased_parked_or_cannot_be_read_is_told_too(world: World) -> None:
    story = Story()
    await world.tell(story.told())
    key = str(story.application).encode()
    await world.send(Message(topics.DATA_KEYS.name, key, None, ()))
    await world.send(Message(topics.APPLICATIONS.name, key, b'{"a":"' + SEALED.encode() + b'"}', ()))
    record = ConsumerRecord("applications.v1", 3, 7, 0, 0, key, b"{}", None, 0, 0, ())
    letter = parked.letter(record, group="issuer", reason="purchaser_is_unknown", now=datetime.now(UTC))
    await world.send(letter)
    await world.send(Message(topics.redrive("issuer"), key, b"{}", letter.headers))
    note = {parked.ID: b"0123456789", parked.SETTLED_BY: "見本".encode(), parked.SETTLED_WHY: b"garbage"}
    await world.send(Message(letter.topic, key, b"", tuple(note.items())))

    found = await trail(world.stack, str(story.application))

    says = {entry.type: entry.says for entry in found.entries}
    assert says["DataKeyShredded"] == "連絡先の鍵を破棄 data key shredded"
    assert says["RecordUnreadable"] == "読めない記録 unreadable: ce_specversion_is_not_1.0"
    assert says["RecordParked"] == "保留 parked: purchaser_is_unknown; applications.v1:3:7"
    assert says["RecordRedriven"] == "再投入 redriven; applications.v1:3:7"
    assert says["RecordSettled"] == "処置済 settled: garbage (見本); dead letter 01234567"
    assert dict(letter.headers)[ORIGIN_TOPIC] == b"applications.v1"


async def test_what_is_kept_and_was_never_told_is_told_as_that(world: World) -> None:
    story = Story()
    await world.keep(story)

    by_application = await trail(world.stack, str(story.application))
    by_number = await trail(world.stack, story.number)

    assert {"ApplicationKept", "GuaranteeKept"} <= set(types(by_application))
    assert {"ApplicationKept", "GuaranteeKept"} <= set(types(by_number))


@pytest.mark.parametrize(
    "wanted", ["31072-00001", "なし", "31072-000012", "5f2c0a8e-7d1b-4c55-9a3e-1d0f6b2e9c47", compose("31099", 1)]
)
async def test_what_nobody_knows_is_said_in_one_sentence(ready: Stack, wanted: str) -> None:
    with pytest.raises(NothingFound) as nothing:
        await trail(ready, wanted)

    assert wanted in str(nothing.value)
    assert "\n" not in str(nothing.value)


def test_the_command_shows_a_table_json_lines_and_a_pdf_without_a_secret(akashi, ready: Stack, tmp_path: Path) -> None:
    async def tell() -> Story:
        async with open_world(ready) as world:
            story = Story()
            await world.tell(story.told())
            await world.keep(story)
            return story

    story = asyncio.run(tell())
    pdf = tmp_path / "trail.pdf"

    table = akashi("audit", "trail", story.number, "--pdf", str(pdf))
    lines = akashi("audit", "trail", story.number, "--json")

    assert table.exit_code == lines.exit_code == 0
    entries = [json.loads(line) for line in lines.stdout.splitlines()]
    assert [entry["type"] for entry in entries] == WHOLE
    assert "電子証書を発行 issued" in table.stdout
    assert str(story.application) in table.stderr
    words = " ".join(page.extract_text() for page in PdfReader(pdf).pages)
    assert story.number in words
    shown = table.stdout + table.stderr + lines.stdout + words
    for secret in (DIGEST, SEALED, WORDS, story.issued.content_sha256, "ciphertext", "nonce", "@", "AAAA"):
        assert secret not in shown


def test_the_command_says_when_nothing_is_known_and_when_nothing_could_be_read(akashi) -> None:
    nothing = akashi("audit", "trail", str(uuid.uuid4()))

    assert nothing.exit_code == 1
    assert nothing.stdout == ""
    assert nothing.stderr.count("\n") == 1
    assert "Nothing is known of" in nothing.stderr
