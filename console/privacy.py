"""How is the personal data of one application erased, and is it gone?"""

from collections.abc import AsyncIterator
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from aiokafka import ConsumerRecord

from chassis.decoding import ORIGIN_TOPIC
from chassis.kafka import KafkaAccess
from chassis.outbox import Outbox
from console import store
from console.environment import Stack
from console.kafka_reading import open_reader
from deploy.local.problem import Problem
from schemas import topics
from services.intake.shredding import handlers
from services.intake.shredding import store as shreddings
from services.intake.shredding.store import Concerned, Shredding

#: Whether a reader still has its wrapped copy.
READER_KEEPS: Final = {
    "issuer": "SELECT EXISTS (SELECT FROM data_key WHERE application_id = $1)",
    "notifier": "SELECT EXISTS (SELECT FROM delivery WHERE application_id = $1 AND wrapped IS NOT NULL)",
}
_LONGEST_NOTE: Final = 200


def note(text: str, option: str) -> str:
    """A line for the record. `Problem` for none."""
    line = " ".join(text.split())
    if not line or len(line) > _LONGEST_NOTE or not line.isprintable():
        raise Problem(f"The record needs one line of 1 to {_LONGEST_NOTE} characters: correct {option}.")
    return line


async def look(stack: Stack, application_id: UUID) -> Concerned:
    """The application, before it is too late. `Problem` where there is none."""
    async with store.connect(stack, "intake") as connection:
        try:
            return await handlers.look(connection, application_id)
        except handlers.ApplicationIsUnknown as error:
            raise _unknown(error) from None


async def shred(
    stack: Stack, application_id: UUID, *, by: str, reason: str, delete_drafts: bool | None = None
) -> Shredding:
    """Erase, as intake: by its own handler and in one transaction. Its relay tells the readers.

    `Problem` for an unknown application, and where drafts may be copies and nobody said what to do with them.
    """
    async with store.connect(stack, "intake") as connection, connection.transaction():
        try:
            return await handlers.shred(
                connection,
                application_id,
                by=by,
                reason=reason,
                delete_drafts=delete_drafts,
                outbox=Outbox("intake"),
                now=datetime.now(UTC),
            )
        except handlers.ApplicationIsUnknown as error:
            raise _unknown(error) from None
        except handlers.CopiesMayBeLeft as error:
            raise Problem(
                f"{error.count} unsent drafts of this contractor were begun since, and may be copies of it: "
                "delete them with --delete-drafts, or leave them with --keep-drafts."
            ) from None


async def all_shreddings(stack: Stack) -> list[dict[str, Any]]:
    """Who had what erased, when and why."""
    async with store.connect(stack, "intake") as connection:
        return [asdict(done) for done in await shreddings.all_(connection)]


async def places(stack: Stack, application_id: UUID) -> list[str]:
    """Where the application's data key still lies, wrapped. What the files of a database or a backup keep, nobody asks.

    `Problem` for an application that intake does not know.
    """
    async with store.connect(stack, "intake") as connection:
        kept = await shreddings.keeps_key(connection, application_id)
    if kept is None:
        raise _unknown(handlers.ApplicationIsUnknown(application_id))
    found = ["intake's database"] if kept else []
    for reader, question in READER_KEEPS.items():
        async with store.connect(stack, reader) as connection:
            if await connection.fetchval(question, application_id):
                found.append(f"{reader}'s database")
    names = [topics.DATA_KEYS.name]
    for reader in topics.DATA_KEYS.readers:
        names += [topics.dead_letters(reader), topics.redrive(reader)]
    holding = [record async for record in _told(stack.kafka, names, str(application_id).encode())]
    return found + [f"{record.topic}, partition {record.partition}, offset {record.offset}" for record in holding]


async def _told(kafka: KafkaAccess, names: list[str], key: bytes) -> AsyncIterator[ConsumerRecord]:
    """The records that hold the key: on its topic, and parked or given back as records of it."""
    async with open_reader(kafka, names) as reader:
        async for records in reader.records_until(await reader.ends(*names)):
            for record in records:
                origin = (dict(record.headers).get(ORIGIN_TOPIC) or record.topic.encode()).decode(errors="replace")
                if record.key == key and record.value is not None and origin == topics.DATA_KEYS.name:
                    yield record


def _unknown(error: handlers.ApplicationIsUnknown) -> Problem:
    return Problem(f"Intake has no application {error.application_id}: copy its id from the application's page.")
