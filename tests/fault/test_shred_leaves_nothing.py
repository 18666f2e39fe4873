"""After `akashi privacy shred` no file of the stack holds the data key, and what is left is ciphertext for ever."""

import asyncio
import itertools
import json
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest
from aiokafka import ConsumerRecord
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from chassis import sealing
from chassis.kafka_topics import declared
from chassis.settings import Secrets
from console import store
from console.kafka_reading import open_admin, open_reader
from schemas import topics
from schemas.data_keys import DataKeyWrapped
from tests.fault.test_nothing_secret_in_the_clear import _files_holding
from tests.support.auditing import auditors_check
from tests.support.builders import an_advance_payment, an_application_form
from tests.support.kafka import send, uncommitted
from tests.support.running import Client, RunningStack, eventually

READERS = ("intake", "issuer", "notifier")
DATABASES = ("intake", "issuer", "registry", "notifier")
#: Everything that may hold a data key, wrapped.
KEY_TOPICS = (
    topics.DATA_KEYS.name,
    *(topic for reader in topics.DATA_KEYS.readers for topic in (topics.dead_letters(reader), topics.redrive(reader))),
)
WRAPPED = {
    "intake": "SELECT id, wrapped_data_key FROM application WHERE wrapped_data_key IS NOT NULL",
    "issuer": "SELECT application_id, wrapped FROM known_data_key WHERE wrapped IS NOT NULL",
    "notifier": "SELECT application_id, wrapped FROM delivery WHERE wrapped IS NOT NULL",
}
#: What Kafka is told so that nobody waits a day.
AT_ONCE = {
    "segment.ms": "100",
    "max.compaction.lag.ms": "100",
    "min.cleanable.dirty.ratio": "0.001",
    "file.delete.delay.ms": "0",
}


@dataclass
class Case:
    """One application, and what somebody who has everything can find of it."""

    id: str
    address: str
    #: What the contractor and the desk wrote.
    words: tuple[str, ...]
    #: Each reader's wrapping, as bytes in a table and in base64 in an event.
    needles: list[bytes] = field(default_factory=list)
    #: (nonce, ciphertext, what it is about)
    sealed: list[tuple[bytes, bytes, UUID]] = field(default_factory=list)

    @property
    def plain(self) -> list[bytes]:
        return [text.encode() for text in (self.address, *self.words)]


def _akashi(stack: RunningStack, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "console.main", *arguments],
        env=stack.environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


async def _shred(stack: RunningStack, case: Case) -> None:
    noted = ("--by", "監査 見本", "--reason", "本人の申出")
    done = await asyncio.to_thread(_akashi, stack, "privacy", "shred", case.id, "--yes", *noted)
    assert done.returncode == 0, done.stderr


async def _places(stack: RunningStack, case: Case) -> list[str]:
    done = await asyncio.to_thread(_akashi, stack, "privacy", "check", case.id, "--json")
    assert done.returncode in (0, 1), done.stderr
    places: list[str] = json.loads(done.stdout)["places"]
    assert bool(places) == (done.returncode == 1)
    return places


async def _apply(contractor: Client, desk: Client, *, amount_yen: int = 100_000, price_yen: int = 500_000) -> Case:
    """An application that wishes for mail, with messages both ways."""
    name = uuid.uuid4().hex[:12]
    case = Case("", f"himitsu-{name}@takasaki-kensetsu.example", (f"まえがき{name}", f"質問{name}", f"返答{name}"))
    form = an_application_form(
        works__price_yen=price_yen,
        products__advance_payment=an_advance_payment(amount_yen=amount_yen),
        mail_address=case.address,
        message=case.words[0],
    )
    case.id = await contractor.apply(form, uuid.uuid4().hex)
    key = {"Idempotency-Key": uuid.uuid4().hex}
    asked = await contractor.call("POST", f"/api/applications/{case.id}/messages", {"text": case.words[1]}, **key)
    assert asked.status_code == 202, asked.text

    async def answered() -> bool:
        path = f"/api/desk/applications/{case.id}/messages"
        return (await desk.call("POST", path, {"text": case.words[2]}, **key)).status_code == 201

    await eventually(answered, 30)

    async def heard() -> bool:
        talk = await contractor.document(f"/api/applications/{case.id}/messages")
        return [one["text"] for one in talk["items"]] == list(case.words[1:])

    await eventually(heard, 30)
    return case


async def _gather(stack: RunningStack, case: Case) -> None:
    """Note every wrapping and every ciphertext of a case, while they are there."""
    application_id = UUID(case.id)
    for record in await _key_records(stack, case):
        event = DataKeyWrapped.model_validate_json(record.value or b"")
        case.needles += [one.wrapped.encode() for one in event.wrapped_for]
    for service, statement in WRAPPED.items():
        rows = {row[0]: row[1] for row in await _rows(stack, service, statement)}
        case.needles += [rows[application_id], sealing.b64(rows[application_id]).encode()]
    (submitted,) = await _rows(stack, "intake", "SELECT submitted FROM application WHERE id = $1", application_id)
    contact = json.loads(submitted["submitted"])["contact"]
    case.sealed.append((sealing.unb64(contact["nonce"]), sealing.unb64(contact["ciphertext"]), application_id))
    messages = "SELECT nonce, ciphertext, message_id FROM message WHERE application_id = $1"
    case.sealed += [tuple(row) for row in await _rows(stack, "intake", messages, application_id)]
    assert len(case.sealed) == 3
    assert len(set(case.needles)) == 6, "three wrappings, in two forms"


async def _rows(stack: RunningStack, service: str, statement: str, *values: object) -> list[asyncpg.Record]:
    async with store.connect(stack.console, service) as connection:
        return await connection.fetch(statement, *values)


async def _key_records(stack: RunningStack, case: Case | None = None) -> list[ConsumerRecord]:
    """All records with data keys that Kafka still gives, wherever they were parked; of one case, or of all."""
    found = []
    async with open_reader(stack.console.kafka, KEY_TOPICS) as reader:
        async for records in reader.records_until(await reader.ends(*KEY_TOPICS)):
            found += [r for r in records if r.value and (case is None or r.key == case.id.encode())]
    return found


async def _everything_wrapped(stack: RunningStack) -> set[bytes]:
    """Whatever could be a wrapped data key: every live row, every record."""
    found = {row[1] for service, statement in WRAPPED.items() for row in await _rows(stack, service, statement)}
    for record in await _key_records(stack):
        try:
            event = DataKeyWrapped.model_validate_json(record.value or b"")
        except ValueError:
            continue
        found |= {sealing.unb64(one.wrapped) for one in event.wrapped_for}
    return found


def _opened(case: Case, secrets: Iterable[bytes]) -> Iterator[bytes]:
    """What these keys open of a case."""
    for secret, (nonce, ciphertext, about) in itertools.product(secrets, case.sealed):
        try:
            yield sealing.DataKey(about, secret).open(nonce, ciphertext, about=about)
        except sealing.CannotOpen:
            continue


def _every_key(stack: RunningStack, wrapped: Iterable[bytes], applications: Iterable[str]) -> set[bytes]:
    """Every symmetric key to be had: each private key tried on each wrapping, in each one's name; and the secrets."""
    secrets = {reader: Secrets(stack.state / "secrets" / reader) for reader in READERS}
    privates = [one.key("private_key") for one in secrets.values()]
    keys = {*privates, *(secrets[service].key("at_rest_key") for service in ("intake", "issuer"))}
    infos = [sealing.wrapping_info(UUID(application), reader) for application in applications for reader in READERS]
    for private, one, info in itertools.product(privates, wrapped, infos):
        try:
            keys.add(sealing.open_with(private, one, info=info))
        except sealing.CannotOpen:
            continue
    return keys


@asynccontextmanager
async def _compacting_at_once(stack: RunningStack) -> AsyncIterator[None]:
    (topic,) = [topic for topic in declared(1) if topic.name == topics.DATA_KEYS.name]

    async def configure(settings: dict[str, str]) -> None:
        async with open_admin(stack.console.kafka_administrator) as admin:
            await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic.name, configs=settings)])

    await configure({**topic.topic_configs, **AT_ONCE})
    try:
        yield
    finally:
        await configure(topic.topic_configs)


async def _vacuum(stack: RunningStack) -> None:
    """What an operator does who wants table files to forget at once, as docs/operations.md says."""
    for database in DATABASES:
        connection = await asyncpg.connect(
            host=stack.console.postgres_host,
            port=stack.console.postgres_port,
            user="postgres",
            password=stack.console.secret("postgres/superuser_password"),
            database=database,
        )
        try:
            await connection.execute("VACUUM FULL")
            await connection.execute("SELECT pg_switch_wal()")
            await connection.execute("CHECKPOINT")
        finally:
            await connection.close()


async def _shred_and_repeat(stack: RunningStack, shredded: Iterable[Case], old: list[ConsumerRecord]) -> None:
    """Shred, then be a relay that thaws and puts the keys back behind their tombstones: no reader takes them."""
    for case in shredded:
        await _shred(stack, case)

    async def forgotten() -> bool:
        return not [place for case in shredded for place in await _places(stack, case) if "database" in place]

    await eventually(forgotten, 30)
    await send(stack.console.kafka_administrator, old)
    for reader in topics.DATA_KEYS.readers:

        async def has_read(reader: str = reader) -> bool:
            return await uncommitted(stack.console.kafka_administrator, reader, topics.DATA_KEYS.name) == 0

        await eventually(has_read, 30)
    for case in shredded:
        places = await _places(stack, case)
        assert places
        assert all(place.startswith(topics.DATA_KEYS.name) for place in places)


def _holding(folder: Path, needles: list[bytes]) -> set[Path]:
    return {path.relative_to(folder) for path, _ in _files_holding(folder, needles)}


@pytest.mark.timeout(420)
async def test_nothing_that_is_left_opens_what_was_shredded(stack: RunningStack, tmp_path: Path) -> None:
    if stack.outside:
        pytest.skip("the containers' files are not on this machine; the local stack's are")
    contractor = await stack.contractor(f"shred-{uuid.uuid4().hex[:8]}")
    desk, second = await stack.desk("toto"), await stack.desk("toto")
    mails_before = await stack.mails_by_message_id()
    issued, kept = await _apply(contractor, desk), await _apply(contractor, desk)
    # Above the limit, so that it waits for the desk and its letter with it.
    waits = await _apply(contractor, desk, amount_yen=25_000_000, price_yen=50_000_000)
    cases, shredded = (issued, kept, waits), (issued, waits)

    async def mailed() -> bool:
        return len(await stack.mails_by_message_id() - mails_before) == 2

    await eventually(mailed, 60)
    for case in cases:
        await _gather(stack, case)
    wrapped = await _everything_wrapped(stack)
    for case in cases:
        # The same search finds and opens everything while it is there.
        assert len(list(_opened(case, _every_key(stack, wrapped, [case.id])))) == 3
        assert {path.parts[0] for path in _holding(stack.state, case.needles)} >= {"kafka", "postgres"}
    old = [record for case in shredded for record in await _key_records(stack, case)]

    await _shred_and_repeat(stack, shredded, old)
    async with _compacting_at_once(stack):
        # What the reminder does in a week: each telling closes the segment with the one before it.
        for _ in range(2):
            for case in shredded:
                await _shred(stack, case)
        needles = [needle for case in shredded for needle in case.needles]
        await eventually(lambda: not _holding(stack.state / "kafka", needles), 120)
    assert [await _places(stack, case) for case in shredded] == [[], []]
    await _vacuum(stack)
    tables = {path for path in _holding(stack.state / "postgres", needles) if "pg_wal" not in path.parts}
    assert tables == set()
    everywhere = {path.parts[0] for path in _holding(stack.state, needles)}
    assert everywhere <= {"postgres"}, "only the WAL, until it is recycled"

    # Every key of the stack on everything that is left.
    keys = _every_key(stack, await _everything_wrapped(stack), [case.id for case in cases])
    assert len(list(_opened(kept, keys))) == 3
    assert [list(_opened(case, keys)) for case in shredded] == [[], []]
    plain = {path.parts[0] for path in _holding(stack.state, [text for case in cases for text in case.plain])}
    assert plain == {"mailbox"}, "in the mails that were sent, and never elsewhere"

    await _goes_on(stack, contractor, desk, second, issued=issued, waits=waits)
    await auditors_check(stack, tmp_path)
    assert len(await stack.mails_by_message_id() - mails_before) == 3, "two completions, and a word to the office"


async def _goes_on(
    stack: RunningStack, contractor: Client, desk: Client, second: Client, *, issued: Case, waits: Case
) -> None:
    """The desk decides without contact; the letter is given up; certificate and key are as ever."""
    path = f"/api/desk/applications/{waits.id}"
    seen = await desk.document(path)
    assert (seen["contact"], seen["can_write"], {one["text"] for one in seen["messages"]}) == (None, False, {None})
    decided = await desk.call("POST", f"{path}/accept", {"message": ""})
    if decided.status_code == 202:
        decided = await second.call("POST", f"{path}/approve")
    assert decided.status_code == 200, decided.text

    async def given_up() -> bool:
        (product,) = (await contractor.document(f"/api/applications/{waits.id}"))["products"]
        return (product["mail"] or {}).get("reason") == "shredded"

    await eventually(given_up, 60)
    shown = await contractor.document(f"/api/applications/{issued.id}")
    assert shown["contact"] is None
    number = shown["products"][0]["contract_number"]
    key = (await contractor.document(f"/api/guarantees/{number}/authentication-key"))["authentication_key"]
    purchaser = await stack.purchaser("tochigi")
    body = {"contract_number": number, "authentication_key": key}
    assert (await purchaser.call("POST", "/api/certificates/lookup", body)).status_code == 200
    check = await asyncio.to_thread(_akashi, stack, "topics", "check")
    assert check.returncode == 0, check.stdout


async def test_the_command_refuses_what_it_cannot_do(stack: RunningStack) -> None:
    nobody = str(uuid.uuid4())
    noted = ("--by", "監査 見本", "--reason", "本人の申出")

    unknown = await asyncio.to_thread(_akashi, stack, "privacy", "shred", nobody, "--yes", *noted)
    empty = await asyncio.to_thread(_akashi, stack, "privacy", "shred", nobody, "--yes", "--by", " ", "--reason", "x")
    checked = await asyncio.to_thread(_akashi, stack, "privacy", "check", nobody)

    assert (unknown.returncode, empty.returncode, checked.returncode) == (1, 1, 1)
    assert f"no application {nobody}" in unknown.stderr
    assert "--by" in empty.stderr
    assert f"no application {nobody}" in checked.stderr


async def test_the_command_asks_first_and_notes_who_and_why(stack: RunningStack) -> None:
    contractor, desk = await stack.contractor(f"asked-{uuid.uuid4().hex[:8]}"), await stack.desk("toto")
    case = await _apply(contractor, desk)
    noted = ("--by", "監査 見本", "--reason", "本人の申出")

    refused = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "console.main", "privacy", "shred", case.id, *noted],
        env=stack.environment,
        input="n\n",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert refused.returncode == 1
    assert "Nothing was erased." in refused.stderr
    assert (await contractor.document(f"/api/applications/{case.id}"))["contact"] is not None
    await _shred(stack, case)
    assert (await contractor.document(f"/api/applications/{case.id}"))["contact"] is None
    listed = json.loads((await asyncio.to_thread(_akashi, stack, "privacy", "list", "--json")).stdout)
    assert [(one["shredded_by"], one["reason"]) for one in listed if one["application_id"] == case.id] == [
        ("監査 見本", "本人の申出")
    ]
