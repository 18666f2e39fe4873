"""A little of everything that services keep, and how a test damages one row and mends it."""

import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg

from console.audit.keeping import Keeping, KeptTable
from console.audit.replay_kept import ReplayedKept, replay_kept
from console.privacy import shred
from tests.fault.load import has_come_to_its_end, send
from tests.support.builders import LEFT_OUT, a_performance, an_application_form
from tests.support.running import Client, RunningStack
from tests.support.waiting import eventually

#: Above the limit of one guarantee, so that the desk has it.
FOR_THE_DESK = {"products__advance_payment__amount_yen": 25_000_000}
#: A value that fits the column, and is another.
OTHER: dict[str, str] = {
    "uuid": "gen_random_uuid()",
    "text": "'x' || {0}",
    "bigint": "{0} + 1",
    "integer": "{0} + 1",
    "smallint": "{0} + 1",
    "boolean": "NOT {0}",
    "timestamp with time zone": "{0} + interval '1 ms'",
    "bytea": "{0} || '\\x00'",
    "jsonb": "CASE jsonb_typeof({0}) WHEN 'array' THEN {0} || '[1]' ELSE {0} || '{{\"x\": 1}}' END",
    "ARRAY": "array_append({0}, 'x')",
}


@dataclass
class Parties:
    """Who acts, over the whole stack."""

    stack: RunningStack
    contractor: Client
    desk: Client
    purchaser: Client

    async def apply(self, **changes: Any) -> str:
        form = an_application_form(
            **{"viewed_mail_wanted": True, "returned_mail_wanted": True, **changes},
        )
        return await self.contractor.apply(form, uuid.uuid4().hex)

    async def until(self, application_id: str, **wanted: Any) -> dict[str, Any]:
        """The application, as soon as its first product (or with `status` itself) is so."""

        async def is_so() -> dict[str, Any] | None:
            found = await self.contractor.document(f"/api/applications/{application_id}")
            seen = {**found["products"][0], "of_all": found["status"]}
            return found if all(seen.get(name) == value for name, value in wanted.items()) else None

        found: dict[str, Any] = await eventually(is_so, 60)
        return found

    async def at_the_desk(self, application_id: str, action: str, **body: Any) -> None:
        path = f"/api/desk/applications/{application_id}/{action}"
        answer = await self.desk.call("POST", path, body or {"message": "見本"})
        assert answer.status_code in {200, 201, 202}, answer.text

    async def write(self, application_id: str) -> None:
        path = f"/api/applications/{application_id}/messages"
        asked = await self.contractor.call("POST", path, {"text": "見本"}, **{"Idempotency-Key": uuid.uuid4().hex})
        assert asked.status_code == 202, asked.text
        # Before the data key has come, nobody at the desk can write.
        desk = f"/api/desk/applications/{application_id}/messages"

        async def written() -> bool:
            return (await self.desk.call("POST", desk, {"text": "見本"})).status_code < 300

        await eventually(written, 30)

    async def view(self, number: str) -> None:
        key = (await self.contractor.document(f"/api/guarantees/{number}/authentication-key"))["authentication_key"]
        body = {"contract_number": number, "authentication_key": key}
        assert (await self.purchaser.call("POST", "/api/certificates/lookup", body)).status_code == 200


async def a_little_of_everything(stack: RunningStack) -> Parties:
    """Issued, on paper, viewed, mailed and not deliverable, returned and replaced, withdrawn, written about, erased."""
    name = f"kept-{uuid.uuid4().hex[:8]}"
    parties = Parties(stack, await stack.contractor(name), await stack.desk("toto"), await stack.purchaser("tochigi"))
    sent = await send(parties.contractor, 6)
    await eventually(lambda: has_come_to_its_end(parties.contractor, sent), 60)

    async with stack.http("mailbox") as mailbox:
        refuse = {"Recipient": {"ErrorCode": 550, "Probability": 100}}
        await mailbox.put("/api/v1/chaos", json=refuse)
        refused = await parties.apply()
        found = await parties.until(refused, status="issued")
        number = found["products"][0]["contract_number"]

        async def told() -> bool:
            return ((await parties.contractor.document(f"/api/guarantees/{number}"))["mail"] or {}).get(
                "outcome"
            ) == "undeliverable"

        await eventually(told, 30)
        await mailbox.put("/api/v1/chaos", json={})
    await parties.view(number)
    await parties.view(number)

    accepted, returned, withdrawn = [await parties.apply(**FOR_THE_DESK) for _ in range(3)]
    for each in (accepted, returned, withdrawn):
        await parties.until(each, of_all="queued")
    await parties.write(accepted)
    await parties.at_the_desk(accepted, "accept")
    await parties.at_the_desk(returned, "return")
    asked = f"/api/applications/{withdrawn}/withdrawal"
    assert (
        await parties.contractor.call("POST", asked, None, **{"Idempotency-Key": uuid.uuid4().hex})
    ).status_code == 202
    await parties.until(withdrawn, of_all="withdrawn")
    await parties.until(returned, status="returned")
    await parties.until(accepted, status="issued")
    replaced = await _sent_again(parties, returned)
    await parties.until(replaced, of_all="queued")
    await parties.at_the_desk(replaced, "return")
    await parties.until(replaced, status="returned")
    last = await _sent_again(parties, replaced, products__advance_payment__amount_yen=10_000_000)
    await parties.until(last, status="issued")

    await parties.apply(**FOR_THE_DESK)
    await parties.apply(products__advance_payment=LEFT_OUT, products__performance=a_performance(form="paper"))
    await shred(stack.console, UUID(accepted), by="見本", reason="見本")
    return parties


async def _sent_again(parties: Parties, application_id: str, **changes: Any) -> str:
    """The same works once more, in place of what was returned."""
    before = await parties.contractor.document(f"/api/applications/{application_id}")
    return await parties.apply(
        **{**FOR_THE_DESK, "works__name": before["works_name"], "replaces": application_id, **changes}
    )


async def settled(stack: RunningStack, keeps: type[Keeping]) -> ReplayedKept:
    """A replay when nothing is on its way any more."""

    async def quiet() -> ReplayedKept | None:
        found = await replay_kept(stack.console, keeps)
        return None if any(found.newer.values()) else found

    found: ReplayedKept = await eventually(quiet, 60, every_seconds=0.2)
    return found


@asynccontextmanager
async def superuser(stack: RunningStack, service: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """Whom neither rights nor foreign keys stop."""
    connection = await asyncpg.connect(
        host=stack.console.postgres_host,
        port=stack.console.postgres_port,
        user="postgres",
        database=service,
        password=stack.console.secret("postgres/superuser_password"),
        server_settings={"session_replication_role": "replica"},
    )
    try:
        yield connection
    finally:
        await connection.close()


@asynccontextmanager
async def one_row(
    connection: "asyncpg.Connection[asyncpg.Record]", table: KeptTable, where: str
) -> AsyncIterator[dict[str, Any]]:
    """A row of a table, as it is; afterwards it is so again, whatever was done to it."""
    columns = [
        row["column_name"]
        for row in await connection.fetch(
            "SELECT column_name FROM information_schema.columns WHERE table_name = $1 AND is_generated = 'NEVER'",
            table.name,
        )
    ]
    found = await connection.fetchrow(f"SELECT ctid::text AS place, * FROM {table.name} WHERE {where} LIMIT 1")
    assert found is not None, f"{table.name} has no row with {where}"
    row = dict(found)
    before = await connection.fetch(f"SELECT ctid::text FROM {table.name}")
    try:
        yield row
    finally:
        places = [each[0] for each in before if each[0] != row["place"]]
        await connection.execute(f"DELETE FROM {table.name} WHERE NOT ctid::text = ANY($1)", places)
        values = [row[name] for name in columns]
        put = ", ".join(f"${n}" for n in range(1, len(columns) + 1))
        await connection.execute(f"INSERT INTO {table.name} ({', '.join(columns)}) VALUES ({put})", *values)


async def types_of(connection: "asyncpg.Connection[asyncpg.Record]", table: str) -> Mapping[str, str]:
    rows = await connection.fetch(
        "SELECT column_name, data_type FROM information_schema.columns WHERE table_name = $1 AND is_generated = 'NEVER'",
        table,
    )
    return {row["column_name"]: row["data_type"] for row in rows}
