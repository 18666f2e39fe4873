"""What is compared in the flow? Each side takes applications at its first outbox and ends with a row per certificate."""

import itertools
import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final, Protocol
from uuid import UUID

from aiokafka import ConsumerRecord
from uuid_utils.compat import uuid7

from chassis.outbox import Outbox, pack
from schemas import topics
from schemas.applications import ApplicationSubmitted
from schemas.certificates import CertificateIssued
from schemas.envelope import message_of
from tests.bench.pipes import tables
from tests.bench.stand import REFERENCE_PARTS
from tests.support.builders import CAUSE, a_product, an_application

Connections = Mapping[str, Any]

INSERT_CONTRACTORS = """
INSERT INTO contractor (id, name, address, representative)
SELECT id, 'name', 'address', 'representative' FROM unnest($1::text[]) AS c (id) ON CONFLICT (id) DO NOTHING
"""
INSERT_APPLICATIONS = """
INSERT INTO application (id, contractor_id, surety_id, purchaser_id, submitted, submitted_at)
SELECT id, contractor_id, submitted::jsonb ->> 'surety_id', submitted::jsonb #>> '{works,purchaser_id}', submitted::jsonb,
    now()
FROM unnest($1::uuid[], $2::text[], $3::text[]) AS a (id, contractor_id, submitted)
"""
INSERT_PRODUCTS = """
INSERT INTO product (application_id, product, form, works_key)
SELECT id, 'advance_payment', 'electronic', id::text::bytea FROM unnest($1::uuid[]) AS a (id)
"""
SELECT_REGISTERED = """
SELECT certificate_id, contract_number, application_id FROM certificate WHERE application_id = ANY($1::uuid[])
"""
COUNT_FOLLOWED = """
SELECT least(
    (SELECT count(*) FROM decided WHERE application_id = ANY($1::uuid[])),
    (SELECT count(*) FROM certificate JOIN registration USING (certificate_id)
        WHERE certificate.application_id = ANY($1::uuid[])))
"""


def applications(
    count: int, *, contractors: int = 100, offices: Sequence[tuple[str, str, str]] = (("toto", "tochigi", "tochigi"),)
) -> list[ApplicationSubmitted]:
    """Small enough for the rules to accept every one; one product each, electronic. Of so many contractors, that none
    comes near what a surety guarantees for one of them, and in turns of so many branches of sureties, each with a
    purchaser, that none runs out of numbers.
    """
    product = a_product(amount_yen=100_000, ratio_percent="40.0")
    return [
        an_application(
            # As intake gives them: in the order of their time.
            uuid7(),
            contractor__id=f"c{n % contractors}",
            surety_id=surety,
            branch_id=branch,
            works__purchaser_id=purchaser,
            works__price_yen=250_000,
            products=(product,),
        )
        for n, (surety, branch, purchaser) in zip(range(count), itertools.cycle(offices), strict=False)
    ]


#: Surety, branch and purchaser, by how many numbers each branch may give in a year: a million together.
_OFFICES: Final = (
    *[("toto", "tokyo", "mlit"), ("toto", "tochigi", "tochigi"), ("nankai", "okinawa", "yomitan")] * 2,
    ("toto", "ibaraki", "omitama"),
    ("toto", "aomori", "nambu-aomori"),
    ("toto", "chiba", "shirako"),
    ("nankai", "osaka", "mlit"),
)
#: Of so many contractors and branches that a year of rounds may follow.
many_applications: Final = partial(applications, contractors=1000, offices=_OFFICES)


class Side(Protocol):
    """One of those that are compared."""

    name: str
    #: What the second hop reads.
    certificates: str
    #: Its processes.
    parts: Sequence[str]
    #: So slow that its rounds are made shorter by this.
    shorter: int

    async def fill(self, events: Sequence[ApplicationSubmitted]) -> float:
        """Put applications into the first outbox, in one transaction; when its commit began."""

    async def arrived(self) -> int:
        """How many rows there are at the end."""

    async def is_settled(self, count: int) -> bool:
        """Whether nothing is left to do, also where nobody measures."""

    async def faults(self, events: Sequence[ApplicationSubmitted], told: Sequence[ConsumerRecord]) -> list[str]:
        """What is wrong with the rows, and with what was told of them on the topic."""

    async def clear(self) -> None:
        """Begin the next round with as few rows as this one, dead ones included: sides that wait look at theirs, too."""


class Ours:
    """The services as they are shipped."""

    name = "ours"
    certificates = topics.CERTIFICATES.name
    parts: Sequence[str] = ("intake", "issuer", "registry")
    shorter = 1

    def __init__(self, connections: Connections, *, keeps: bool = False) -> None:
        """With `keeps`, nothing is cleared away: a round is added to those before."""
        self._intake, self._issuer, self._registry = (connections[name] for name in self.parts)
        self._keeps = keeps
        #: Certificates of earlier rounds in the log, which nothing empties.
        self._logged = 0
        #: The applications of this round.
        self.asked: Sequence[UUID] = ()
        self._outbox = Outbox("intake")
        #: Of all rounds: a number is never given twice.
        self._numbers: set[str] = set()

    async def fill(self, events: Sequence[ApplicationSubmitted]) -> float:
        self.asked = ids = [event.application_id for event in events]
        contractors = [event.contractor.id for event in events]
        transaction = self._intake.transaction()
        await transaction.start()
        await self._intake.execute(INSERT_CONTRACTORS, sorted(set(contractors)))
        await self._intake.execute(INSERT_APPLICATIONS, ids, contractors, [event.model_dump_json() for event in events])
        await self._intake.execute(INSERT_PRODUCTS, ids)
        await self._outbox.add(self._intake, [(event, CAUSE) for event in events])
        began = time.monotonic()
        await transaction.commit()
        return began

    async def arrived(self) -> int:
        return await self.stored() - self._logged

    async def stored(self) -> int:
        """Certificates at the registry, each with two leaves; nobody looks at one here."""
        return int(await self._registry.fetchval("SELECT size / 2 FROM log_head"))

    async def is_settled(self, count: int) -> bool:
        """Registrations are told, and intake has followed everything."""
        for connection in (self._intake, self._issuer, self._registry):
            if await connection.fetchval("SELECT EXISTS (SELECT 1 FROM outbox)"):
                return False
        return bool(await self._intake.fetchval(COUNT_FOLLOWED, self.asked) == count)

    async def faults(self, events: Sequence[ApplicationSubmitted], told: Sequence[ConsumerRecord]) -> list[str]:
        asked = [event.application_id for event in events]
        rows = await self._registry.fetch(SELECT_REGISTERED, asked)
        registered = {row["certificate_id"]: row["contract_number"] for row in rows}
        issued = [CertificateIssued.model_validate_json(record.value) for record in told]
        numbers = set(registered.values())
        wrong = _differences(
            {
                "distinct certificates": len(registered),
                "distinct numbers": len(numbers - self._numbers),
                "applications with a certificate": len(
                    {row["application_id"] for row in rows} & {event.application_id for event in events}
                ),
                "certificates on the topic": len({event.certificate_id for event in issued}),
            },
            len(events),
        )
        if registered != {event.certificate_id: event.contract_number for event in issued}:
            wrong.append("the registry's certificates are not those of the topic")
        self._numbers |= numbers
        return wrong

    async def clear(self) -> None:
        for connection in (self._intake, self._issuer, self._registry):
            await connection.execute("VACUUM outbox")
        self._logged = await self.stored()
        if self._keeps:
            return
        await self._intake.execute("TRUNCATE application CASCADE")
        await self._intake.execute("TRUNCATE registration, certificate CASCADE")
        await self._issuer.execute("TRUNCATE application, guarantee, exposure CASCADE")
        await self._registry.execute("TRUNCATE certificate CASCADE")


class Reference:
    """A program of `tests.bench.pipes`."""

    def __init__(self, name: str, connection: Any, *, shorter: int = 1) -> None:
        self.name = name
        self.shorter = shorter
        self.certificates = f"{name}-certificates"
        self.parts: Sequence[str] = [f"{name}-{part}" for part in REFERENCE_PARTS]
        self._database = connection

    async def fill(self, events: Sequence[ApplicationSubmitted]) -> float:
        messages = [message_of(event, source="intake", topic=topics.APPLICATIONS.name, cause=CAUSE) for event in events]
        transaction = self._database.transaction()
        await transaction.start()
        await self._database.execute(
            tables.INSERT_OUTBOX.format(table="first_outbox"),
            [f"{self.name}-applications"] * len(messages),
            [message.key for message in messages],
            [message.value for message in messages],
            [pack(message.headers) for message in messages],
        )
        began = time.monotonic()
        await transaction.commit()
        return began

    async def arrived(self) -> int:
        return int(await self._database.fetchval("SELECT count(*) FROM last_row"))

    async def is_settled(self, count: int) -> bool:
        """Every row of every kind is there, and nothing waits."""
        for table in tables.OUTBOXES:
            if await self._database.fetchval(f"SELECT EXISTS (SELECT 1 FROM {table})"):
                return False
        rows = [
            await self._database.fetchval(f"SELECT count(*) FROM {table}")
            for tables_of_kind in tables.ROWS.values()
            for table in tables_of_kind
        ]
        return all(found == count for found in rows)

    async def faults(self, events: Sequence[ApplicationSubmitted], told: Sequence[ConsumerRecord]) -> list[str]:
        keys = {event.key.encode() for event in events}
        rows = await self._database.fetch("SELECT id FROM last_row")
        found = {
            "rows of these applications": len({row["id"] for row in rows} & keys),
            "certificates on the topic": len({record.key for record in told} & keys),
        }
        return _differences(found, len(events))

    async def clear(self) -> None:
        names = ", ".join(table for of_kind in tables.ROWS.values() for table in of_kind)
        await self._database.execute(f"TRUNCATE {names}")
        for table in tables.OUTBOXES:
            await self._database.execute(f"VACUUM {table}")


def _differences(found: Mapping[str, int], count: int) -> list[str]:
    return [f"{number} {what}, not {count}" for what, number in found.items() if number != count]
