"""The auditor's replay of issuer, intake and notifier, over a stack that served everybody. Each test leaves it equal."""

import asyncio
import json
import math
import re
import shutil
import signal
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from aiokafka import TopicPartition
from typer.testing import Result

from chassis import sealing
from chassis.consumer import Handler
from chassis.outbox import Outbox
from chassis.postgres import Transaction
from console.audit.fold import Difference
from console.audit.keeping import AsTold, Keeping, KeptTable
from console.audit.kept_by_issuer import GUARANTEE
from console.audit.reconcile_reading import reconcile
from console.audit.replay_feeding import Collecting
from console.audit.replay_intake import TABLES as INTAKE_TABLES
from console.audit.replay_intake import IntakeKeeps
from console.audit.replay_issuer import IssuerKeeps
from console.audit.replay_kept import ReplayedKept, replay_kept
from console.audit.replay_notifier import NotifierKeeps
from console.environment import find_reference
from console.kafka_reading import open_reader
from console.store import Connection, connect
from reference import reader
from schemas import topics
from schemas.applications import ApplicationSubmitted
from schemas.event import Event
from services.intake import app as intake_app
from services.issuer import handlers as issuer
from services.issuer.issuance import Issuing
from services.issuer.minting import KeyMint
from services.notifier.smtp import Line, Server
from tests.end_to_end.kept import (
    OTHER,
    Parties,
    a_little_of_everything,
    one_row,
    settled,
    superuser,
    types_of,
)
from tests.fault.load import send
from tests.integration.console.conftest import typed
from tests.support.running import RunningStack
from tests.support.waiting import eventually

TABLES = {table.name: table for table in INTAKE_TABLES}
ALL = (IssuerKeeps, IntakeKeeps, NotifierKeeps)
each_service = pytest.mark.parametrize("keeps", ALL, ids=lambda keeps: keeps.service)
#: A row in which every told column has a value, where the first one has not; and values that a table's checks let pass.
ROWS = {
    ("issuer", "application"): "desk_outcome = 'accepted' AND findings <> '[]'",
    ("issuer", "guarantee"): "form = 'electronic'",
    ("issuer", "known_data_key"): "shredded_at IS NULL",
    ("notifier", "letter"): "state = 'undeliverable' AND letter = 'completion' AND smtp_code IS NOT NULL",
    ("notifier", "delivery"): "wanted AND shredded_at IS NULL AND wished_at IS NOT NULL AND wrapped IS NOT NULL",
    ("intake", "application"): "replaces IS NOT NULL AND wrapped_data_key IS NOT NULL",
    ("intake", "mail"): "outcome = 'undeliverable'",
    ("intake", "outcome"): "fee IS NOT NULL",
}
VALUES = {
    ("issuer", "application", "status"): "'queued'",
    ("issuer", "application", "desk_outcome"): "'returned'",
    ("issuer", "application", "withdrawal"): "'refused'",
    ("issuer", "application", "traceparent"): "'x'",
    (
        "issuer",
        "message",
        "direction",
    ): "CASE direction WHEN 'from_contractor' THEN 'to_contractor' ELSE 'from_contractor' END",
    ("notifier", "letter", "state"): "'sent'",
    ("intake", "withdrawal", "answer"): "'refused'",
    ("intake", "mail", "outcome"): "'sent'",
    ("intake", "message", "direction"): "CASE direction WHEN 'to_surety' THEN 'to_contractor' ELSE 'to_surety' END",
}
#: What goes together, by a table's own checks: not altered alone, or only so.
TOGETHER = {
    ("issuer", "message", "direction"): "person = CASE direction WHEN 'from_contractor' THEN 'x' END",
    ("intake", "message", "direction"): "person = CASE direction WHEN 'to_contractor' THEN 'x' END",
    ("notifier", "letter", "state"): "reason = NULL",
}
#: Columns of a key, or told by another's presence.
NOT_ALONE = {("notifier", "letter", "certificate_id"), ("issuer", "guarantee", "form")}


@pytest.fixture(scope="module")
async def parties(stack: RunningStack) -> Parties:
    return await a_little_of_everything(stack)


async def all_ends(stack: RunningStack) -> dict[TopicPartition, int]:
    names = [topic.name for topic in topics.BUSINESS]
    names += [name for group in topics.GROUPS for name in (topics.dead_letters(group), topics.redrive(group))]
    async with open_reader(stack.console.kafka, names) as reader:
        return await reader.ends(*names)


@each_service
async def test_what_a_service_keeps_is_made_again_row_for_row(parties: Parties, keeps: type[Keeping]) -> None:
    found = await settled(parties.stack, keeps)

    assert found.differences == ()
    async with connect(parties.stack.console, keeps.service) as live:
        for table in keeps.tables:
            assert found.rows[table.name] > 0, table.name
            if table.name != "letter":
                assert found.rows[table.name] == await live.fetchval(f"SELECT count(*) FROM {table.name}")


@each_service
async def test_every_column_is_compared_or_left_out_by_name(parties: Parties, keeps: type[Keeping]) -> None:
    async with superuser(parties.stack, keeps.service) as live:
        for table in keeps.tables:
            compared = {attribute.name for attribute in (await live.prepare(table.statement)).get_attributes()}
            columns = {
                row["column_name"]
                for row in await live.fetch(
                    "SELECT column_name FROM information_schema.columns WHERE table_name = $1", table.name
                )
            }
            assert columns - compared == table.left_out, table.name


@each_service
async def test_every_altered_column_is_found_and_named(parties: Parties, keeps: type[Keeping]) -> None:
    """All columns of one row of each table; a row is called by what is told of it."""
    await settled(parties.stack, keeps)
    async with superuser(parties.stack, keeps.service) as live, AsyncExitStack() as mending:
        rows, altered = {}, {}
        for table in keeps.tables:
            row = await mending.enter_async_context(one_row(live, table, _row_of(keeps, table)))
            rows[table.name], altered[table.name] = row, await _alter(live, keeps, table, row)
        found = (await replay_kept(parties.stack.console, keeps)).differences
    for name, columns in altered.items():
        assert columns, name
        assert {each.kind for each in found if each.kind.startswith(f"{name}.")} >= {
            f"{name}.{column}_differs" for column in columns
        }
        _named(found, name, rows[name])
    assert (await replay_kept(parties.stack.console, keeps)).equal


@each_service
async def test_a_removed_and_an_added_row_are_found_and_named(parties: Parties, keeps: type[Keeping]) -> None:
    """In each table one is another: what is told is missing, and what is there nobody told."""
    await settled(parties.stack, keeps)
    async with superuser(parties.stack, keeps.service) as live, AsyncExitStack() as mending:
        rows = {}
        for table in keeps.tables:
            rows[table.name] = await mending.enter_async_context(one_row(live, table, _row_of(keeps, table)))
            key = table.key[0] if table.key[0] != "about_id" else "certificate_id"
            await live.execute(
                f"UPDATE {table.name} SET {key} = gen_random_uuid() WHERE ctid = $1::text::tid",
                rows[table.name]["place"],
            )
        found = (await replay_kept(parties.stack.console, keeps)).differences
    for name, row in rows.items():
        assert {f"{name}_is_missing", f"{name}_is_superfluous"} <= {each.kind for each in found}
        _named([each for each in found if not each.kind.endswith("superfluous")], name, row)
    assert (await replay_kept(parties.stack.console, keeps)).equal


def _row_of(keeps: type[Keeping], table: KeptTable) -> str:
    return ROWS.get((keeps.service, table.name), "true")


def _named(found: Sequence[Difference], table: str, row: Mapping[str, Any]) -> None:
    """What is found in a table is told under the row's number, or its application's id."""
    subject = row.get("contract_number") or str(row.get("application_id", row.get("id")))
    of_table = {each.subject for each in found if each.kind.startswith((f"{table}.", f"{table}_is_"))}
    assert of_table == {subject} or table == "mail"


async def _alter(live: Any, keeps: type[Keeping], table: KeptTable, row: dict[str, Any]) -> list[str]:
    """Change every column that is compared and has a value here; the names under which that must be found."""
    place = row["place"]
    altered: list[str] = []
    for column, kind in (await types_of(live, table.name)).items():
        name = (keeps.service, table.name, column)
        if column in table.key or column in table.left_out or name in NOT_ALONE or row[column] is None:
            continue
        value = VALUES.get(name, OTHER[kind].format(column))
        put = ", ".join(filter(None, [f"{column} = {value}", TOGETHER.get(name)]))
        place = await live.fetchval(
            f"UPDATE {table.name} SET {put} WHERE ctid = $1::text::tid RETURNING ctid::text", place
        )
        altered.append(column)
    return [column for column in altered if column != "reason" or table.name != "letter"]


async def test_exposures_and_numbers_that_were_altered_are_found(parties: Parties) -> None:
    await settled(parties.stack, IssuerKeeps)
    async with superuser(parties.stack, "issuer") as live:
        party = await live.fetchrow("SELECT surety_id, contractor_id FROM exposure WHERE accepted_yen > 0")
        series = await live.fetchrow("SELECT surety_id, branch_id, fiscal_year FROM number_series")
        assert party is not None
        assert series is not None
        for by in (1, -1):
            yen = "UPDATE exposure SET accepted_yen = accepted_yen + $1 WHERE (surety_id, contractor_id) = ($2, $3)"
            drawn = (
                "UPDATE number_series SET drawn = drawn + $1 WHERE (surety_id, branch_id, fiscal_year) = ($2, $3, $4)"
            )
            await live.execute(yen, by, *party)
            await live.execute(drawn, by, *series)
            found = (await replay_kept(parties.stack.console, IssuerKeeps)).differences
            await live.execute(yen, -by, *party)
            await live.execute(drawn, -by, *series)
            assert {(each.kind, each.subject) for each in found} == {
                ("exposure.accepted_yen_differs", " ".join(party)),
                ("number_series.drawn_differs", " ".join(str(part) for part in series)),
            }
    assert (await replay_kept(parties.stack.console, IssuerKeeps)).equal


@contextmanager
def trapped() -> Iterator[None]:
    """Whatever mails, draws, opens or publishes fails meanwhile."""

    def forbidden(*_: Any, **__: Any) -> None:
        raise Attempted

    places = (
        "aiokafka.AIOKafkaProducer.__init__",
        "aiokafka.AIOKafkaConsumer.commit",
        "aiosmtplib.SMTP.__init__",
        "smtplib.SMTP.__init__",
        "services.notifier.smtp.Line.send",
        "services.notifier.sender.compose",
        "chassis.outbox.Outbox.add_messages",
        "chassis.relay.Relay.__init__",
        "schemas.authentication_key.draw",
        "chassis.sealing.open_with",
        "chassis.sealing.Recipient.__init__",
        "chassis.sealing.DataKey.seal",
        "chassis.sealing.DataKey.open",
    )
    with pytest.MonkeyPatch.context() as patched:
        for place in places:
            patched.setattr(place, forbidden)
        yield


class Attempted(BaseException):
    """Nobody catches this by mistake."""


async def test_it_has_no_effect(parties: Parties) -> None:
    for keeps in ALL:
        await settled(parties.stack, keeps)
    before = (await all_ends(parties.stack), len(await parties.stack.mails()))

    with trapped():
        assert all([(await replay_kept(parties.stack.console, keeps)).equal for keeps in ALL])

    assert (await all_ends(parties.stack), len(await parties.stack.mails())) == before


class Deciding(IssuerKeeps):
    """Decides anew, as the issuer does: with numbers and keys."""

    @property
    def handlers(self) -> Mapping[type[Event], Handler]:
        mint = KeyMint(b"pepper", bytes(32))
        issuing = Issuing(reader.load(), self.clock, Collecting(), mint)
        return {ApplicationSubmitted: partial(issuer.decide_applications, issuing=issuing)}


class Telling(NotifierKeeps):
    """Tells what became of letters to somebody who publishes it."""

    def __init__(self, shadow: Connection, clock: AsTold) -> None:
        super().__init__(shadow, clock)
        self._ledger = replace(self._ledger, outbox=Outbox("notifier"))


class Sending(NotifierKeeps):
    """Sends the letters that are due, as the notifier does."""

    async def forget(self, tx: Transaction, keys: Sequence[str]) -> None:
        server = Server("127.0.0.1", 1, timeout_seconds=1)
        await Line(server).send(b"", sender="a@akashi.example", recipient="b@akashi.example", until=math.inf)


class Opening(IntakeKeeps):
    """Opens authentication keys, to seal them again."""

    def __init__(self, shadow: Connection, clock: AsTold) -> None:
        super().__init__(shadow, clock)
        self._reading = intake_app.make_reading(lambda event: (b"", sealing.open_with(bytes(32), b"", info=b"")))


@pytest.mark.parametrize("attempt", [Deciding, Telling, Sending, Opening], ids=lambda attempt: attempt.__name__)
async def test_a_replay_that_would_act_fails(parties: Parties, attempt: type[Keeping]) -> None:
    """The trap is not deaf: live code that acts, wired into a replay, ends it at once."""
    with trapped(), pytest.raises(Attempted):
        await replay_kept(parties.stack.console, attempt)


async def test_it_runs_beside_traffic(parties: Parties) -> None:
    traffic = asyncio.create_task(send(parties.contractor, 24))
    found = [await replay_kept(parties.stack.console, keeps) for keeps in ALL]
    while not traffic.done():
        found += [await replay_kept(parties.stack.console, keeps) for keeps in ALL]
    await traffic

    assert [each.differences for each in found] == [()] * len(found)
    for keeps in ALL:
        assert (await settled(parties.stack, keeps)).equal


async def test_what_a_service_has_not_read_yet_is_no_difference(parties: Parties) -> None:
    reading = (IssuerKeeps, NotifierKeeps)
    for keeps in reading:
        await settled(parties.stack, keeps)
        parties.stack.kill(keeps.service, signal.SIGSTOP)
    try:
        application_id = await parties.apply()

        async def told() -> list[ReplayedKept] | None:
            found = [await replay_kept(parties.stack.console, keeps) for keeps in reading]
            return found if all(each.newer.get("told") for each in found) else None

        found: list[ReplayedKept] = await eventually(told, 20)
        assert all(each.equal for each in found)
    finally:
        for keeps in reading:
            parties.stack.kill(keeps.service, signal.SIGCONT)
    await parties.until(application_id, status="issued")
    for keeps in reading:
        assert (await settled(parties.stack, keeps)).equal


async def test_what_a_service_told_itself_must_be_there_whatever_it_has_not_read(parties: Parties) -> None:
    """As with offsets that were reset over a database that was lost: every application has something unread."""
    application_id = await parties.apply()
    await parties.until(application_id, status="issued")
    await settled(parties.stack, IssuerKeeps)
    parties.stack.kill("issuer", signal.SIGSTOP)
    try:
        path = f"/api/applications/{application_id}/messages"
        await parties.contractor.call("POST", path, {"text": "見本"}, **{"Idempotency-Key": uuid.uuid4().hex})

        async def unread() -> ReplayedKept | None:
            found = await replay_kept(parties.stack.console, IssuerKeeps)
            return found if found.newer.get("told") else None

        assert (await eventually(unread, 20)).equal
        async with (
            superuser(parties.stack, "issuer") as live,
            one_row(live, GUARANTEE, f"application_id = '{application_id}'") as row,
        ):
            await live.execute("DELETE FROM guarantee WHERE ctid = $1::text::tid", row["place"])
            found = await replay_kept(parties.stack.console, IssuerKeeps)
        assert "guarantee_is_missing" in {each.kind for each in found.differences}
    finally:
        parties.stack.kill("issuer", signal.SIGCONT)
    assert (await settled(parties.stack, IssuerKeeps)).equal


async def test_until_a_time_is_what_was_told_by_then(parties: Parties) -> None:
    everything = [await settled(parties.stack, keeps) for keeps in ALL]
    moment = datetime.now(UTC)
    await parties.until(await parties.apply(), status="issued")

    for keeps, before in zip(ALL, everything, strict=True):
        then = await replay_kept(parties.stack.console, keeps, until=moment)
        assert then.equal
        assert then.rows == before.rows
        assert sum(then.newer.values()) > 0
        nothing = await replay_kept(parties.stack.console, keeps, until=datetime(2000, 1, 1, tzinfo=UTC))
        assert nothing.equal
        assert set(nothing.rows.values()) == {0}


@pytest.mark.parametrize(
    "office", ["", 'undeliverable_mail_to = "jimu@toto-hosho.example"'], ids=["no office", "another"]
)
async def test_a_surety_that_changes_its_profile_changes_nothing_that_was_done(
    parties: Parties, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, office: str
) -> None:
    await settled(parties.stack, NotifierKeeps)
    shutil.copytree(reader.DEFAULT, tmp_path / "data")
    profile = tmp_path / "data" / "sureties" / "toto.toml"
    text = re.sub('(mail_from = )"[^"]*"', r'\1"desk@toto-hosho.test"', profile.read_text())
    text = re.sub("(completion_mail = ).*", r'\1"always"', text)
    profile.write_text(re.sub("undeliverable_mail_to = .*", office, text))
    monkeypatch.setenv("AKASHI_REFERENCE_DIR", str(tmp_path / "data"))

    for keeps in ALL:
        found = await settled(parties.stack, keeps)
        assert found.differences == ()
        left_out = {"letter"} if keeps is NotifierKeeps and not office else set()
        assert set(found.of_other_data) == left_out
    agreed = await reconcile(parties.stack.console, find_reference(), older_than_seconds=0)
    assert agreed.differences == ()


async def test_the_command_exits_by_what_it_found(parties: Parties) -> None:
    async def akashi(*arguments: str) -> Result:
        # In a thread: a command has an event loop of its own.
        return await asyncio.to_thread(typed, parties.stack.console, "audit", "replay", *arguments)

    await settled(parties.stack, IntakeKeeps)
    fine = await akashi("--service", "intake")
    assert (fine.exit_code, fine.stdout) == (0, ""), fine.output
    assert "Not replayed, because no event tells them: secrets" in fine.stderr
    assert "They are equal." in fine.stderr
    async with superuser(parties.stack, "intake") as live, one_row(live, TABLES["view"], "true") as row:
        await live.execute("UPDATE view SET viewed_at = viewed_at + interval '1 ms' WHERE view_id = $1", row["view_id"])
        found = await akashi("--service", "intake", "--json")
    assert found.exit_code == 1
    told = json.loads(found.stdout)
    assert told["equal"] is False
    assert [(each["kind"], each["subject"]) for each in told["differences"]] == [
        ("view.viewed_at_differs", row["contract_number"])
    ]
    unknown = await akashi("--service", "postman")
    assert unknown.exit_code == 2
    assert "There is no service postman" in unknown.stderr
