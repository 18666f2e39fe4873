"""How are the rows of a replay and of a live database held side by side? As streams in the order of their keys."""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from console.audit import store
from console.audit.fold import Difference
from console.store import Connection, Record

#: Not a column of the table compared, but what a difference or a decision needs.
BESIDE: Final = frozenset({"place", "number", "about"})
#: What a difference names and does not repeat.
_UNTOLD: Final = frozenset({"content", "key_digest", "salt", "commitment", "hash", "frontier"})


@dataclass(frozen=True)
class Table:
    """One table, and how its rows are read on both sides: in the order of `key`."""

    name: str
    statement: str
    key: tuple[str, ...]
    #: What a row is called, beside its contract number.
    called: Callable[[Any], str]
    #: Columns that a difference names and does not repeat.
    untold: frozenset[str] = _UNTOLD
    #: Of a key of one column.
    key_type: str = ""

    def within(self) -> str:
        """`statement` for keys from $1 to before $2, where these are not null; what has no key comes last of all. For a
        key of one column.
        """
        key = self.key[0]
        return f"""
SELECT * FROM ({self.statement}) AS every
WHERE ($1::{self.key_type} IS NULL OR {key} >= $1 OR {key} IS NULL) AND ($2::{self.key_type} IS NULL OR {key} < $2)
ORDER BY {key}
"""  # noqa: S608 - of what is in our code


async def merged(
    shadow: Connection, live: Connection, table: Table, within: tuple[Any, Any] | None = None
) -> AsyncIterator[tuple[Any, Any]]:
    """Rows of both by key, of all or of those `Table.within` a range: (shadow's or None, live one or None)."""
    asked = (table.statement,) if within is None else (table.within(), *within)
    mine, theirs = store.stream(shadow, *asked), store.stream(live, *asked)
    ours, other = await anext(mine, None), await anext(theirs, None)
    while ours is not None or other is not None:
        one, two = (tuple(row[name] for name in table.key) if row is not None else None for row in (ours, other))
        first = two is None or (one is not None and one <= two)
        second = one is None or (two is not None and two <= one)
        yield ours if first else None, other if second else None
        if first:
            ours = await anext(mine, None)
        if second:
            other = await anext(theirs, None)


def differing(
    table: Table, ours: Record | None, theirs: Record | None, *, holder: str, number: str | None = None
) -> Iterator[Difference]:
    """What is different in one row, column by column; `holder` is the service whose row it is.

    The difference is named by `number`, else by what the row says.
    """
    row: Mapping[str, Any] = ours if ours is not None else theirs  # type: ignore[assignment]  # one of them is there
    called = table.called(row)
    number = number or row.get("contract_number") or row.get("number") or called
    if theirs is None:
        yield Difference(f"{table.name}_is_missing", number, f"{called} is told, and the {holder} does not hold it")
    elif ours is None:
        yield Difference(f"{table.name}_is_superfluous", number, f"{called} is in the {holder}, and no event tells it")
    else:
        for name in ours.keys():  # noqa: SIM118 - a row is iterated by its values
            if name not in BESIDE and ours[name] != theirs[name]:
                said = words(name, ours[name], theirs[name], untold=table.untold)
                yield Difference(f"{table.name}.{name}_differs", number, f"{called}, log and {holder}: {said}")


def words(name: str, mine: object, theirs: object, *, untold: frozenset[str] = _UNTOLD) -> str:
    """In which way a column differs, without what must not be repeated."""
    if theirs is None and name == "salt":
        return "salt was erased"
    return f"{name} differs" if name in untold else f"{name} is {_plain(mine)} and {_plain(theirs)}"


def _plain(value: Any) -> str:
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
