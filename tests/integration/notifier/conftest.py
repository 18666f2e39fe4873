"""A notifier without its process: a database, an SMTP server, a clock that a test moves, and events to feed it."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any
from uuid import UUID, uuid4, uuid5

import asyncpg
import pytest
from aiokafka import ConsumerRecord
from aiosmtpd.smtp import SMTP, Envelope, Session
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from chassis import sealing
from chassis.consumer import Consumer
from chassis.lifecycle import Progress
from chassis.outbox import unpack
from chassis.postgres import Pool
from deploy.local.state import free_port
from reference import reader
from schemas import topics
from schemas.applications import ApplicationSubmitted, Contractor, ProductApplied, Works
from schemas.data_keys import DataKeyWrapped, WrappedKey
from schemas.decisions import ApplicationDecided, Finding, ProductOutcome
from schemas.envelope import Cause, message_of
from schemas.event import Event
from schemas.registrations import CertificateRegistered
from schemas.sealed import Contact, SealedContact
from schemas.views import CertificateViewed
from services.notifier.app import make_reading
from services.notifier.domain import BackOff
from services.notifier.handlers import Noticing
from services.notifier.ledger import Ledger
from services.notifier.sender import Bell, Pause, RingingOutbox, Sender
from services.notifier.smtp import Server
from services.notifier.sweeper import Sweeper
from tests.support.databases import Databases

START = datetime(2026, 4, 1, 0, 0, tzinfo=UTC)
LEASE_SECONDS = 60.0
BRANCHES = {"toto": "tochigi", "nankai": "okinawa"}


# --- PostgreSQL -------------------------------------------------------------------------------------------------------


@pytest.fixture
async def pool(databases: Databases) -> AsyncIterator[Pool]:
    await databases.fresh("notifier")
    async with asyncpg.create_pool(**databases.address("notifier"), min_size=0, max_size=16) as pool:
        yield pool


# --- SMTP -------------------------------------------------------------------------------------------------------------


@dataclass
class Post:
    """An SMTP server that takes letters, or answers what a test wants."""

    port: int = 0
    letters: list[EmailMessage] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)
    #: By command, what to answer instead of "250": each once, from the left.
    answers: dict[str, list[str]] = field(default_factory=lambda: {"MAIL": [], "RCPT": [], "DATA": []})
    #: While set, DATA gets no answer; the letter was taken all the same.
    silent: bool = False
    connections: int = 0
    mails_begun: int = 0
    in_data: int = 0
    most_in_data: int = 0
    #: Held by a test that wants letters to be in the middle of DATA.
    gate: asyncio.Event | None = None
    reached: asyncio.Event = field(default_factory=asyncio.Event)

    async def handle_EHLO(  # noqa: N802
        self, _s: SMTP, session: Session, _e: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        session.host_name = hostname
        self.connections += 1
        return responses

    async def handle_MAIL(self, _s: SMTP, _session: Session, envelope: Envelope, address: str, _o: list[str]) -> str:  # noqa: N802
        self.mails_begun += 1
        if self.answers["MAIL"]:
            return self.answers["MAIL"].pop(0)
        envelope.mail_from = address
        return "250 OK"

    async def handle_RCPT(self, _s: SMTP, _session: Session, envelope: Envelope, address: str, _o: list[str]) -> str:  # noqa: N802
        if self.answers["RCPT"]:
            return self.answers["RCPT"].pop(0)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _s: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        self.reached.set()
        self.in_data += 1
        self.most_in_data = max(self.most_in_data, self.in_data)
        try:
            if self.gate is not None:
                await self.gate.wait()
            if self.answers["DATA"]:
                return self.answers["DATA"].pop(0)
            content = envelope.content
            assert isinstance(content, bytes)
            self.raw.append(content)
            message = message_from_bytes(content, policy=policy.default)
            assert isinstance(message, EmailMessage)
            self.letters.append(message)
            if self.silent:
                await asyncio.Event().wait()
        finally:
            self.in_data -= 1
        return "250 taken"

    @property
    def message_ids(self) -> list[str]:
        return [str(letter["Message-ID"]) for letter in self.letters]


@pytest.fixture
async def post() -> AsyncIterator[Post]:
    post = Post()
    loop = asyncio.get_running_loop()
    protocols: list[SMTP] = []

    def accept() -> SMTP:
        protocols.append(SMTP(post, loop=loop, hostname="mx.example"))
        return protocols[-1]

    server = await loop.create_server(accept, "127.0.0.1", 0)
    post.port = server.sockets[0].getsockname()[1]
    yield post
    server.close()
    for protocol in protocols:
        if protocol.transport is not None:
            protocol.transport.close()
        if protocol._handler_coroutine is not None:
            protocol._handler_coroutine.cancel()
    await server.wait_closed()


@pytest.fixture
def closed_port() -> int:
    """Where nobody listens."""
    return free_port()


# --- the notifier -----------------------------------------------------------------------------------------------------


class SettableClock:
    def __init__(self) -> None:
        self._now = START

    def now(self) -> datetime:
        return self._now

    def advance(self, **duration: float) -> None:
        self._now += timedelta(**duration)


@dataclass(frozen=True)
class Case:
    """One application as events: wish and key, and what there is to tell."""

    wish: ApplicationSubmitted
    key: DataKeyWrapped
    registered: CertificateRegistered
    returned: ApplicationDecided
    viewed: CertificateViewed

    @property
    def halves(self) -> tuple[Event, Event, Event]:
        return (self.wish, self.key, self.registered)

    def told_by(self, letter: str) -> Event:
        """The event that makes this letter."""
        return {"completion": self.registered, "returned": self.returned, "viewed": self.viewed}[letter]

    def halves_of(self, letter: str) -> tuple[Event, Event, Event]:
        return (self.wish, self.key, self.told_by(letter))

    def about_id(self, letter: str) -> UUID:
        return self.wish.application_id if letter == "returned" else self.registered.certificate_id


@dataclass
class World:
    """A notifier's parts over one database, wired as `app.py` wires them."""

    pool: Pool
    post: Post
    private_key: bytes
    clock: SettableClock = field(default_factory=SettableClock)
    offsets: Iterator[int] = field(default_factory=itertools.count)

    def __post_init__(self) -> None:
        self.bell = Bell(look_every_seconds=0.05)
        self.outbox = RingingOutbox("notifier", self.bell)
        loaded = reader.load()
        #: No surety is told of letters that were given up, until a test wants it.
        self.sureties = {
            surety.id: surety.model_copy(update={"undeliverable_mail_to": None}) for surety in loaded.sureties.values()
        }
        self.reference = replace(loaded, sureties=self.sureties)
        self.noticing = Noticing(self.reference, self.clock, self.outbox, self.private_key)
        self.ledger = Ledger(
            pool=lambda: self.pool,
            outbox=self.outbox,
            clock=self.clock,
            reference=self.reference,
            private_key=self.private_key,
            contractor_url="https://portal.akashi.example",
            back_off=BackOff((5, 30, 120), give_up_after_seconds=3600),
            lease_seconds=LEASE_SECONDS,
            resend_unknown=True,
        )
        self.progress = Progress("test", stale_after_seconds=60)

    def consumer(self) -> Consumer:
        return Consumer(
            make_reading(self.noticing),
            pool=lambda: self.pool,
            outbox=self.outbox,
            clock=self.clock,
            progress=self.progress,
            parked_per_minute_limit=100,
        )

    def sender(
        self, *, port: int | None = None, timeout_seconds: float = 5.0, pause: Pause | None = None, **of_ledger: Any
    ) -> Sender:
        return Sender(
            replace(self.ledger, **of_ledger),
            Server("127.0.0.1", port or self.post.port, timeout_seconds=timeout_seconds),
            bell=self.bell,
            pause=pause or Pause(longest_seconds=0.01),
            drain_seconds=5,
        )

    def sweeper(self, **of_ledger: Any) -> Sweeper:
        return Sweeper(
            replace(self.ledger, **of_ledger),
            self.clock,
            every_seconds=60,
            alone_after_seconds=3600,
            park_after_seconds=86400,
        )

    def tell_surety_at(self, surety_id: str, mail_address: str | None) -> None:
        """As `undeliverable_mail_to` of its profile."""
        surety = self.sureties[surety_id]
        self.sureties[surety_id] = surety.model_copy(update={"undeliverable_mail_to": mail_address})

    async def take(self, *events: Event) -> None:
        """One poll with these events."""
        await self.consumer().take([self.record(event) for event in events])

    async def shred(self, case: Case) -> None:
        key = str(case.wish.application_id).encode()
        await self.consumer().take([_record(topics.DATA_KEYS.name, key, None, (), next(self.offsets))])

    async def leases_pass(self, *, seconds: float) -> None:
        """As if claims were so much older. (They end by the clock of the database.)"""
        earlier = "UPDATE letter SET due_at = due_at - $1::interval WHERE state = 'sending'"
        await self.pool.execute(earlier, timedelta(seconds=seconds))

    async def send_due(self, **options: Any) -> None:
        await self.sender(**options).send_due(self.progress)

    def record(self, event: Event) -> ConsumerRecord:
        topic = topics.of_event(type(event)).name
        message = message_of(event, source="test", topic=topic, cause=Cause("corr-00000001"))
        return _record(topic, message.key, message.value, message.headers, next(self.offsets))

    async def letter(self, case: Case, letter: str = "completion") -> asyncpg.Record:
        """A letter to the contractor, or `undeliverable.<letter>` to the surety."""
        about_id = case.about_id(letter.rpartition(".")[2])
        row = await self.pool.fetchrow("SELECT * FROM letter WHERE about_id = $1 AND letter = $2", about_id, letter)
        assert row is not None
        return row

    async def state(self, case: Case, letter: str = "completion") -> str:
        state: str = (await self.letter(case, letter))["state"]
        return state

    async def ledger_holds(self) -> list[tuple[str, str]]:
        """(letter, state) of every row."""
        return [(r["letter"], r["state"]) for r in await self.pool.fetch("SELECT * FROM letter ORDER BY letter")]

    async def told(self) -> list[Any]:
        """The events in the outbox."""
        found = []
        for row in await self.outgoing(topics.NOTIFICATIONS.name):
            kind = topics.NOTIFICATIONS.event_of(dict(unpack(row["headers"]))["ce_type"].decode())
            assert kind is not None
            found.append(kind.model_validate_json(row["value"]))
        return found

    async def outgoing(self, topic: str) -> list[asyncpg.Record]:
        return await self.pool.fetch("SELECT * FROM outbox WHERE topic = $1 ORDER BY id", topic)


def _record(
    topic: str, key: bytes | None, value: bytes | None, headers: Sequence[tuple[str, bytes]], offset: int
) -> ConsumerRecord:
    return ConsumerRecord(topic, 0, offset, 0, 0, key, value, None, len(key or b""), len(value or b""), tuple(headers))


@pytest.fixture
def record() -> Callable[..., ConsumerRecord]:
    return _record


@pytest.fixture
def world(pool: Pool, post: Post) -> World:
    return World(pool, post, X25519PrivateKey.generate().private_bytes_raw())


@pytest.fixture
def a_case(world: World) -> Callable[..., Case]:
    """An application with its data key and one registration; a test changes what matters to it."""
    public_key = X25519PrivateKey.from_private_bytes(world.private_key).public_key().public_bytes_raw()
    serials = itertools.count(1)

    def build(
        *,
        surety_id: str = "toto",
        wanted: bool = True,
        returned_wanted: bool = False,
        viewed_wanted: bool = False,
        mail_address: str | None = "tanto@kensetsu.example",
    ) -> Case:
        application_id = uuid4()
        data_key = sealing.DataKey(uuid4(), uuid4().bytes + uuid4().bytes)
        contact = Contact(mail_address=mail_address, person="髙﨑 太郎")
        nonce, ciphertext = data_key.seal(contact.model_dump_json().encode(), about=application_id)
        info = sealing.wrapping_info(application_id, "notifier")
        wrapped = sealing.Recipient(public_key).seal(data_key.secret, info=info)
        certificate_id = uuid5(UUID(int=7), str(application_id))
        contract_number = f"10226-{next(serials):05d}M"
        return Case(
            wish=ApplicationSubmitted(
                application_id=application_id,
                submitted_at=START,
                submitted_by=uuid4(),
                surety_id=surety_id,
                branch_id=BRANCHES.get(surety_id, "tokyo"),
                reference_version="2026.1",
                contractor=Contractor(id="c1", name="見本建設株式会社", address="栃木県", representative="見本 太郎"),
                works=Works(
                    name="市道1号線舗装工事",
                    kind="construction",
                    purchaser_id="tochigi",
                    price_yen=50_000_000,
                    contract_date=date(2026, 4, 1),
                    term_from=date(2026, 4, 1),
                    term_to=date(2027, 3, 31),
                ),
                products=(
                    ProductApplied(
                        product="advance_payment",
                        form="electronic",
                        amount_yen=20_000_000,
                        ratio_percent="40.0",
                        fee_payment_method="lump_sum",
                        fee_bill_to="見本建設株式会社",
                        fee_statement_on_paper=False,
                    ),
                ),
                completion_mail_wanted=wanted,
                returned_mail_wanted=returned_wanted,
                viewed_mail_wanted=viewed_wanted,
                contact=SealedContact(
                    data_key_id=data_key.id, nonce=sealing.b64(nonce), ciphertext=sealing.b64(ciphertext)
                ),
            ),
            key=DataKeyWrapped(
                application_id=application_id,
                data_key_id=data_key.id,
                created_at=START,
                wrapped_for=(WrappedKey(reader="notifier", wrapped=sealing.b64(wrapped)),),
            ),
            registered=CertificateRegistered(
                certificate_id=certificate_id,
                contract_number=contract_number,
                version=1,
                change_number=0,
                application_id=application_id,
                product="advance_payment",
                surety_id=surety_id,
                purchaser_id="tochigi",
                content_sha256="0" * 64,
                registered_at=START,
            ),
            returned=ApplicationDecided(
                application_id=application_id,
                decided_at=START,
                decided_by="desk",
                rules_version="2026.1",
                reference_version="2026.1",
                outcomes=(
                    ProductOutcome(product="advance_payment", form="electronic", outcome="accepted"),
                    ProductOutcome(
                        product="performance",
                        form="electronic",
                        outcome="returned",
                        reasons=(Finding(rule="R-1", message_ja="理由は秘密です", message_en="secret reason"),),
                    ),
                ),
                message="見本 太郎様の携帯電話にお電話しました",
            ),
            viewed=CertificateViewed(
                view_id=uuid4(),
                certificate_id=certificate_id,
                contract_number=contract_number,
                version=1,
                application_id=application_id,
                purchaser_id="tochigi",
                viewed_by=uuid4(),
                viewed_at=START,
            ),
        )

    return build


Eventually = Callable[[Callable[[], Awaitable[bool]]], Awaitable[None]]


@pytest.fixture
def eventually() -> Eventually:
    """Wait until it is so; the test's own timeout says when that is too late."""

    async def wait(is_so: Callable[[], Awaitable[bool]]) -> None:
        async with asyncio.timeout(20):
            while not await is_so():
                await asyncio.sleep(0.01)

    return wait
