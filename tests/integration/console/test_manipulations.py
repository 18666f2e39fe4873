"""A hundred and two seeded changes of the live database, by hands that may do everything there: each is found and named.

What must be named is worked out here from what the tables held before and afterwards.
"""

import contextlib
import random
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

import asyncpg
import pytest

from console.audit import replay_ranges
from console.audit.replay_compare import TABLES as COMPARED
from console.audit.shadow import as_superuser
from console.environment import Stack
from console.store import Connection
from tests.integration.console.world import World, open_world, stack_of_its_own
from transparency import notes
from transparency.merkle import Frontier, leaf_hash
from transparency.notes import Note, Signature
from transparency.signatures import SignerKey

#: What the registry keeps of the event log, and by what a row is known there.
KEYS: Final = {
    "certificate": ("certificate_id",),
    "view": ("view_id",),
    "leaf": ("index",),
    "tile_node": ("level", "index"),
    "checkpoint": ("size",),
    "log_head": (),
}
#: Nobody can say that a checkpoint was there, but who has a copy. The head is one row.
REMOVABLE: Final = ("certificate", "view", "leaf", "tile_node")
#: A note says the second in which it was signed.
SECOND: Final = 1_000_000

Row = dict[str, Any]
Tables = dict[str, dict[tuple[Any, ...], Row]]


@pytest.fixture(scope="module")
def ready() -> Iterator[Stack]:
    with stack_of_its_own() as stack:
        yield stack


@pytest.fixture(autouse=True)
def many_ranges(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that changes lie in them, at their edges and beyond them."""
    monkeypatch.setattr(replay_ranges, "RANGE_ROWS", 7)


@pytest.fixture(scope="module")
async def filled(ready: Stack) -> AsyncIterator[World]:
    async with open_world(ready) as world:
        for _ in range(4):
            # Two tiles, in the end.
            await world.traffic(52)
        assert (await world.replay()).equal
        yield world


@dataclass
class Intruder:
    """A superuser who knows the tables well. Times are microseconds here."""

    session: Connection
    dice: random.Random

    async def tables(self) -> Tables:
        return {
            name: {tuple(row[part] for part in key): dict(row) for row in await self._rows(name)}
            for name, key in KEYS.items()
        }

    async def _rows(self, table: str) -> list[Any]:
        return await self.session.fetch(f"SELECT * FROM {table} ORDER BY 1, 2")

    async def put(self, table: str, *rows: Row) -> None:
        for row in rows:
            names, places = ", ".join(row), ", ".join(f"${n}" for n in range(1, len(row) + 1))
            await self.session.execute(f"INSERT INTO {table} ({names}) VALUES ({places})", *row.values())

    async def take_away(self, table: str, *rows: Row) -> None:
        for row in rows:
            where = " AND ".join(f"{name} = ${n}" for n, name in enumerate(KEYS[table], 1)) or "true"
            await self.session.execute(f"DELETE FROM {table} WHERE {where}", *(row[name] for name in KEYS[table]))

    async def replace(self, table: str, old: Row, new: Row) -> None:
        await self.take_away(table, old)
        await self.put(table, new)

    async def restore(self, before: Tables) -> None:
        async with self.session.transaction():
            for table, rows in before.items():
                await self.session.execute(f"DELETE FROM {table}")
                await self.put(table, *rows.values())

    async def some(self, *tables: str, count: int = 1) -> tuple[str, list[Row]]:
        table = self.dice.choice(tables)
        return table, [dict(row) for row in self.dice.sample(await self._rows(table), count)]

    # The six ways.

    async def flip_a_bit(self) -> None:
        table, (row,) = await self.some(*KEYS)
        # Nobody can say that a checkpoint of another size was there.
        left_out = ("size",) if table == "checkpoint" else ()
        column = self.dice.choice([name for name, value in row.items() if value is not None and name not in left_out])
        await self.replace(table, row, row | {column: self._flipped(table, column, row[column])})

    def _flipped(self, table: str, column: str, value: Any) -> Any:
        if isinstance(value, list):
            place = self.dice.randrange(len(value))
            return [*value[:place], self._flipped(table, column, value[place]), *value[place + 1 :]]
        if isinstance(value, tuple):
            lowest = SECOND.bit_length() if table == "checkpoint" else 0
            return (value[0] ^ 1 << self.dice.randrange(lowest, 63),)
        if isinstance(value, int):
            return value ^ 1 << self.dice.randrange(15)
        if isinstance(value, uuid.UUID):
            return uuid.UUID(int=value.int ^ 1 << self.dice.randrange(128))
        raw = bytearray(value if isinstance(value, bytes) else value.encode())
        raw[self.dice.randrange(len(raw))] ^= 1 << self.dice.randrange(8)
        return bytes(raw) if isinstance(value, bytes) else raw.decode()

    async def overwrite_a_row(self) -> None:
        table, (row, other) = await self.some(*REMOVABLE, "checkpoint", count=2)
        await self.replace(table, row, other | {name: row[name] for name in KEYS[table]} | self._unlike(table))

    def _unlike(self, table: str) -> Row:
        """What no two rows have in common."""
        if table == "certificate":
            return {"contract_number": f"31072-{self.dice.randrange(100_000):05}X", "application_id": self._uuid()}
        return {"subject": self._uuid()} if table == "leaf" else {}

    def _uuid(self) -> uuid.UUID:
        return uuid.UUID(int=self.dice.getrandbits(128), version=4)

    async def swap_two_rows(self) -> None:
        table, (one, other) = await self.some(*REMOVABLE, "checkpoint", count=2)
        await self.take_away(table, one, other)
        key = KEYS[table]
        await self.put(
            table,
            one | {name: other[name] for name in key},
            other | {name: one[name] for name in key},
        )

    async def move_a_date(self) -> None:
        table, (row,) = await self.some("certificate", "view", "checkpoint")
        column = self.dice.choice([name for name, value in row.items() if isinstance(value, tuple)])
        days = self.dice.choice([-1, 1]) * self.dice.randrange(1, 400)
        await self.replace(table, row, row | {column: (row[column][0] + days * 86_400 * SECOND,)})

    async def remove_a_row(self) -> None:
        table, (row,) = await self.some(*REMOVABLE, "log_head")
        await self.take_away(table, row)

    async def add_a_row(self) -> None:
        table, (row,) = await self.some(*REMOVABLE, "checkpoint")
        new = {
            "certificate": {"certificate_id": self._uuid()},
            "view": {"view_id": self._uuid()},
            "leaf": {"index": row.get("index", 0) + self.dice.randrange(1_000, 1_000_000)},
            "tile_node": {"index": row.get("index", 0) + self.dice.randrange(1_000)},
            "checkpoint": {"size": row.get("size", 0) + self.dice.randrange(1, 100)},
        }
        await self.put(table, row | new[table] | self._unlike(table))


WAYS: Final[tuple[Callable[[Intruder], Awaitable[None]], ...]] = (
    Intruder.flip_a_bit,
    Intruder.overwrite_a_row,
    Intruder.swap_two_rows,
    Intruder.move_a_date,
    Intruder.remove_a_row,
    Intruder.add_a_row,
)
#: The database has no such row.
IMPOSSIBLE: Final = (asyncpg.IntegrityConstraintViolationError, asyncpg.DataError, UnicodeDecodeError, OverflowError)


@pytest.fixture
async def intruder(ready: Stack) -> AsyncIterator[Intruder]:
    async with as_superuser(ready, "registry") as session:
        await session.set_type_codec(
            "timestamptz", schema="pg_catalog", format="tuple", encoder=lambda moment: moment, decoder=lambda raw: raw
        )
        # Whoever may do everything is not held up by foreign keys.
        await session.execute("SET session_replication_role = replica")
        yield Intruder(session, random.Random())


def to_be_named(before: Tables, after: Tables) -> set[tuple[str, str]]:
    """(kind, subject) of everything that differs. A note that differs is named in more than one way."""
    numbers = {key: row["contract_number"] for key, row in (before["certificate"] | after["certificate"]).items()}
    numbers |= {key: row["contract_number"] for key, row in before["certificate"].items()}
    named = set()
    for table, rows in before.items():
        for key in rows.keys() | after[table].keys():
            old, new = rows.get(key), after[table].get(key)
            if old == new:
                continue
            subject = subject_of(table, key, old or new or {}, before if old else after, numbers)
            if table == "checkpoint":
                named.add(("checkpoint", subject))
            elif old is None or new is None:
                named.add((f"{table}_is_{'superfluous' if old is None else 'missing'}", subject))
            else:
                named |= {(f"{table}.{name}_differs", subject) for name in old if old[name] != new[name]}
    return named


def subject_of(table: str, key: tuple[Any, ...], row: Row, tables: Tables, numbers: dict[Any, str]) -> str:
    if table == "log_head":
        return "log_head"
    if table in {"tile_node", "checkpoint"}:
        return " ".join([table.removesuffix("_node"), "/".join(map(str, key))])
    if table == "certificate":
        return str(row["contract_number"])
    if table == "view":
        return numbers.get((row["certificate_id"],), f"view {key[0]}")
    about = row["subject"]
    if row["kind"] == "view":
        about = tables["view"].get((about,), {}).get("certificate_id")
    return numbers.get((about,), f"leaf {key[0]} ({row['kind']})")


@pytest.mark.parametrize("seed", range(17))
async def test_whatever_is_changed_is_named(filled: World, intruder: Intruder, seed: int) -> None:
    """All six ways at once: what is changed in one place must not hide what is changed in another."""
    before = await intruder.tables()
    intruder.dice = random.Random(seed)
    try:
        for way in WAYS:
            await _change(intruder, way)
        after = await intruder.tables()
        found = {
            (each.kind.split(".")[0].split("_is")[0] if each.kind.startswith("checkpoint") else each.kind, each.subject)
            for each in (await filled.replay()).differences
        }
        assert to_be_named(before, after) <= found
    finally:
        await intruder.restore(before)


async def _change(intruder: Intruder, way: Callable[[Intruder], Awaitable[None]]) -> None:
    before = await intruder.tables()
    while await intruder.tables() == before:
        with contextlib.suppress(*IMPOSSIBLE):
            async with intruder.session.transaction():
                await way(intruder)


async def test_a_leaf_added_with_the_log_made_to_fit_is_named(filled: World, intruder: Intruder) -> None:
    before = await intruder.tables()
    ((_, head),) = before["log_head"].items()
    frontier, _ = Frontier(head["size"], tuple(head["frontier"])).extend([leaf_hash(bytes(32))])
    forged = {
        "index": head["size"],
        "kind": "view",
        "subject": uuid.uuid4(),
        "salt": bytes(32),
        "commitment": bytes(32),
    }
    try:
        await intruder.put("leaf", forged)
        await intruder.replace("log_head", head, {"size": frontier.size, "frontier": list(frontier.hashes)})
        found = {(each.kind, each.subject) for each in (await filled.replay()).differences}
    finally:
        await intruder.restore(before)
    assert ("leaf_is_untold", f"leaf {head['size']}") in found


async def test_a_view_that_nobody_told_of_is_named_as_the_events_name_its_certificate(filled, intruder) -> None:
    before = await intruder.tables()
    view = next(iter(before["view"].values()))
    (certificate,) = (row for row in before["certificate"].values() if row["certificate_id"] == view["certificate_id"])
    try:
        await intruder.put("view", view | {"view_id": uuid.uuid4()})
        await intruder.replace("certificate", certificate, certificate | {"contract_number": "31072-00000X"})
        found = {(each.kind, each.subject) for each in (await filled.replay()).differences}
    finally:
        await intruder.restore(before)
    number = certificate["contract_number"]
    assert found == {("view_is_superfluous", number), ("certificate.contract_number_differs", number)}


async def test_every_table_of_the_event_log_is_tried() -> None:
    assert {table.name for table in COMPARED} | {"checkpoint", "log_head"} == set(KEYS)


@pytest.mark.parametrize("beyond", [0, 5000])
async def test_a_head_that_was_moved_on_hides_nothing(filled: World, intruder: Intruder, beyond: int) -> None:
    before = await intruder.tables()
    ((_, head),) = before["log_head"].items()
    at, tile = head["size"] + beyond, {"level": 1, "index": 9, "hash": bytes(32)}
    forged = {"index": at, "kind": "view", "subject": uuid.uuid4(), "salt": bytes(32), "commitment": bytes(32)}
    try:
        await intruder.put("leaf", forged)
        await intruder.put("tile_node", tile)
        await intruder.replace("log_head", head, head | {"size": head["size"] + 2**14})
        found = {(each.kind, each.subject) for each in (await filled.replay()).differences}
    finally:
        await intruder.restore(before)
    assert found & {("leaf_is_untold", f"leaf {at}"), ("leaf_is_superfluous", f"leaf {at} (view)")}
    assert found >= {("tile_node_is_superfluous", "tile 1/9"), ("log_head.size_differs", "log_head")}


async def _found_with(world: World, intruder: Intruder, table: str, **changes: Any) -> list[tuple[str, str]]:
    """What is found of one row that is changed so."""
    before = await intruder.tables()
    row = next(iter(before[table].values()))
    try:
        await intruder.replace(table, row, row | changes)
        return [(each.kind, each.subject) for each in (await world.replay()).differences]
    finally:
        await intruder.restore(before)


@pytest.mark.parametrize(
    ("table", "column"), [("certificate", "registered_at"), ("view", "viewed_at"), ("checkpoint", "signed_at")]
)
@pytest.mark.parametrize("microseconds", [10**18, -(2**57), 2**63 - 1, -(2**63)])
async def test_a_date_of_a_year_that_python_has_not_is_named(filled, intruder, table, column, microseconds) -> None:
    found = await _found_with(filled, intruder, table, **{column: (microseconds,)})

    assert [kind for kind, _ in found] == [f"{table}.{column}_differs"]


async def test_what_else_is_in_a_checkpoints_note_is_judged_as_far_as_its_keys_are_known(filled, intruder) -> None:
    was = next(iter((await intruder.tables())["checkpoint"].values()))["note"]
    note = Note.parse(was)
    own, with_time = note.signatures
    somebody = notes.sign(note.text, SignerKey("witness.example/far", bytes(32)).as_cosigner(), at=1)
    renamed = replace(with_time, name="log.example/other")

    async def found(*signatures: Signature) -> list[str]:
        changed = str(replace(note, signatures=signatures))
        return [kind for kind, _ in await _found_with(filled, intruder, "checkpoint", note=changed)]

    assert await found(own, with_time, somebody) == []
    assert await found(own, with_time, renamed) == ["checkpoint.note_differs"]
    assert await found(own) == ["checkpoint.note_differs"], "when it was signed"
    assert await found(with_time) == ["checkpoint.note_differs"], "not signed as a log does"
