"""Where do two tables differ that are mostly the same? Each server digests its own rows, range by range.

A range's digest is SHA-256 over that of each of its rows, and a row's is over every column: where digests are equal,
rows are. Only ranges whose digests differ need to be read.
"""

import asyncio
from collections.abc import Awaitable
from itertools import pairwise
from typing import Any, Final, NamedTuple

from console.audit.replay_rows import Table
from console.store import Connection

#: A difference costs the reading of so many rows.
RANGE_ROWS: Final = 1000
#: The first key of each range. $1 how many rows a range has
_SELECT_EDGES: Final = """
SELECT {key} FROM (SELECT {key}, row_number() OVER (ORDER BY {key}) AS n FROM {table}) AS numbered
WHERE n % $1 = 1 ORDER BY n
"""
#: OFFSET 0, so that hashes are sorted and not whole rows. By their full names: a function that somebody made for such a
#: table would fit better. $1 the edges
_SELECT_DIGESTS: Final = """
SELECT pg_catalog.width_bucket({key}, $1::{key_type}[]) AS number, pg_catalog.count(*) AS rows,
    pg_catalog.sha256(pg_catalog.string_agg(hash, '' ORDER BY {key})) AS digest
FROM (
    SELECT {key}, pg_catalog.sha256(pg_catalog.record_send(whole)) AS hash FROM {table} AS whole OFFSET 0
) AS hashed GROUP BY 1
"""


class Range(NamedTuple):
    """Keys from `first` to before `end`; without either, from the first one or to the last."""

    first: Any = None
    end: Any = None


async def differing_ranges(shadow: Connection, live: Connection, table: Table) -> tuple[int, list[Range]]:
    """How many rows of the shadow lie where both sides are the same, and the ranges where they are not, in order.

    For a table with a key of one column. Both sides work at once.
    """
    (key,) = table.key
    named = {"key": key, "key_type": table.key_type, "table": table.name}
    edges = [row[0] for row in await shadow.fetch(_SELECT_EDGES.format(**named), RANGE_ROWS)]
    digests = _SELECT_DIGESTS.format(**named)
    found = await _both(shadow.fetch(digests, edges), live.fetch(digests, edges))
    ours, theirs = ({row["number"]: (row["rows"], row["digest"]) for row in rows} for rows in found)
    same = 0
    ranges: list[Range] = []
    for number, (first, end) in enumerate(pairwise((None, *edges, None))):
        if ours.get(number) == theirs.get(number):
            same += ours[number][0] if number in ours else 0
        elif ranges and ranges[-1].end == first:
            ranges[-1] = ranges[-1]._replace(end=end)
        else:
            ranges.append(Range(first, end))
    return same, ranges


async def _both(one: Awaitable[Any], other: Awaitable[Any]) -> list[Any]:
    """Where one fails the other has ended, too: nobody uses a session that is still busy."""
    tasks = [asyncio.ensure_future(one), asyncio.ensure_future(other)]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
