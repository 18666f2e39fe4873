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
#: OFFSET 0, so that hashes are sorted and not whole rows. `whole.*` is the row, whatever its columns are called;
#: functions have their full names, because one that somebody made for such a table would fit better. $1 the edges, $2
#: the first and $3 the last of them
_SELECT_DIGESTS: Final = """
SELECT pg_catalog.width_bucket({key}, $1::{key_type}[]) AS number, pg_catalog.count(*) AS rows,
    pg_catalog.sha256(pg_catalog.string_agg(hash, '' ORDER BY {key})) AS digest
FROM (
    SELECT {key}, pg_catalog.sha256(pg_catalog.record_send(whole.*)) AS hash FROM {table} AS whole
    WHERE {key} >= $2 AND {key} < $3 OFFSET 0
) AS hashed GROUP BY 1
"""


class Range(NamedTuple):
    """Keys from `first` to before `end`; without either, from the first one or to the last, and what has no key."""

    first: Any = None
    end: Any = None


async def differing_ranges(shadow: Connection, live: Connection, table: Table) -> tuple[int, list[Range]]:
    """How many rows of the shadow lie where both sides are the same, and the ranges where they may not be, in order.

    For a table with a key of one column. Both sides work at once. What lies before the first of the shadow's ranges and
    from the last one on is to be read in any case: there the live table goes on, and nobody knows for how long.
    """
    (key,) = table.key
    named = {"key": key, "key_type": table.key_type, "table": table.name}
    edges = [row[0] for row in await shadow.fetch(_SELECT_EDGES.format(**named), RANGE_ROWS)]
    if not edges:
        return 0, [Range()]
    asked = (_SELECT_DIGESTS.format(**named), edges, edges[0], edges[-1])
    found = await _both(shadow.fetch(*asked), live.fetch(*asked))
    ours, theirs = ({row["number"]: (row["rows"], row["digest"]) for row in rows} for rows in found)
    same = 0
    ranges = [Range(None, edges[0])]
    for number, (first, end) in enumerate(pairwise((*edges, None)), 1):
        if end is not None and ours[number] == theirs.get(number):
            same += ours[number][0]
        elif ranges[-1].end == first:
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
