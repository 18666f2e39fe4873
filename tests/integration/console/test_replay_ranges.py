"""Rows that are compared where they lie: nothing that two tables differ in may be left out, whoever made it so."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

import asyncpg
import pytest

from console.audit import replay_ranges
from console.audit.replay_ranges import Range, differing_ranges
from console.audit.replay_rows import Table, merged
from console.store import Connection
from tests.support.databases import Databases

THING: Final = Table("thing", "SELECT * FROM thing ORDER BY id", ("id",), lambda row: str(row["id"]), key_type="bigint")
ROWS: Final = 20


@dataclass
class Sides:
    shadow: Connection
    live: Connection

    async def differing(self) -> list[tuple[int | None, int | None]]:
        """The keys of the rows that differ: (shadow's, live one)."""
        async with self.shadow.transaction(), self.live.transaction():
            _, ranges = await differing_ranges(self.shadow, self.live, THING)
            return [
                (ours and ours["id"], theirs and theirs["id"])
                for within in ranges
                async for ours, theirs in merged(self.shadow, self.live, THING, within)
                if ours != theirs
            ]


@pytest.fixture
async def sides(databases: Databases, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Sides]:
    """The same twenty rows on both, in ranges of four."""
    monkeypatch.setattr(replay_ranges, "RANGE_ROWS", 4)
    await databases.fresh("registry", migrated=False)
    connections = []
    for schema in ("ours", "theirs"):
        connection = await asyncpg.connect(**databases.address("registry"))
        connections.append(connection)
        await connection.execute(f"CREATE SCHEMA {schema}; SET search_path = {schema}")
        await connection.execute("CREATE TABLE thing (id bigint PRIMARY KEY, said text NOT NULL)")
        await connection.execute("INSERT INTO thing SELECT n, 'as told' FROM generate_series(1, $1) AS n", ROWS)
    yield Sides(*connections)
    for connection in connections:
        await connection.close()


async def test_of_what_is_the_same_only_the_last_range_is_read(sides: Sides) -> None:
    assert await differing_ranges(sides.shadow, sides.live, THING) == (16, [Range(None, 1), Range(17, None)])
    assert await sides.differing() == []


async def test_neighbours_that_differ_are_read_as_one_range(sides: Sides) -> None:
    await sides.live.execute("UPDATE thing SET said = 'otherwise' WHERE id IN (6, 9)")

    assert await differing_ranges(sides.shadow, sides.live, THING) == (
        8,
        [Range(None, 1), Range(5, 13), Range(17, None)],
    )
    assert await sides.differing() == [(6, 6), (9, 9)]


@pytest.mark.parametrize("key", [-7, 0, ROWS + 1, ROWS + 100])
async def test_a_row_too_many_is_found_wherever_it_lies(sides: Sides, key: int) -> None:
    await sides.live.execute("INSERT INTO thing VALUES ($1, 'more')", key)

    assert await sides.differing() == [(None, key)]


@pytest.mark.parametrize("key", [1, 4, 5, 17, ROWS])
async def test_a_row_too_few_is_found_wherever_it_lay(sides: Sides, key: int) -> None:
    await sides.live.execute("DELETE FROM thing WHERE id = $1", key)

    assert await sides.differing() == [(key, None)]


@pytest.mark.parametrize("side", ["shadow", "live"])
async def test_an_empty_side_differs_in_every_row(sides: Sides, side: str) -> None:
    await getattr(sides, side).execute("DELETE FROM thing")

    assert len(await sides.differing()) == ROWS


async def test_no_column_takes_the_place_of_its_row(sides: Sides) -> None:
    # What the rows were, in a column that is called as the row is in the statement.
    await sides.live.execute(
        """
        CREATE TYPE was AS (id bigint, said text);
        ALTER TABLE thing ADD COLUMN whole was;
        UPDATE thing SET whole = ROW(id, said)::was;
        UPDATE thing SET said = 'otherwise';
        """
    )

    assert len(await sides.differing()) == ROWS


async def test_a_row_without_a_key_is_found(sides: Sides) -> None:
    await sides.live.execute(
        """
        ALTER TABLE thing DROP CONSTRAINT thing_pkey;
        ALTER TABLE thing ALTER COLUMN id DROP NOT NULL;
        INSERT INTO thing VALUES (NULL, 'more');
        """
    )

    assert await sides.differing() == [(None, None)]
