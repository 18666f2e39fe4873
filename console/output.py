"""How does a command show its results: a table for people, JSON for programs, and never a control character?"""

import json
import sys
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, is_dataclass
from datetime import datetime
from typing import Any
from uuid import UUID


def print_json(value: Any) -> None:
    """One JSON document on standard output; Japanese stays readable."""
    print(json.dumps(value, ensure_ascii=False, indent=2, default=_plain))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, empty: str) -> None:
    """A table, as wide as it needs where nobody looks. `empty` is said on standard error instead of a bare head."""
    # Here, because `--json` and `--help` do without.
    from rich import box  # noqa: PLC0415
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(*columns, box=box.SIMPLE_HEAD, pad_edge=False)
    for row in rows:
        table.add_row(*(Text(printable(_shown(value)), overflow="fold") for value in row))
    if not table.row_count:
        print(empty, file=sys.stderr)
        return
    console = Console()
    # Piped into another program, a row stays a line.
    Console(width=None if console.is_terminal else 400).print(table)


def print_listing(columns: Sequence[str], records: Sequence[Mapping[str, Any]], *, as_json: bool, empty: str) -> None:
    """The same records as JSON objects or as a table of some of their fields."""
    if as_json:
        print_json(records)
    else:
        print_table(columns, ([record[column] for column in columns] for record in records), empty=empty)


def printable(text: str) -> str:
    """The text with every character that a terminal would obey written out; line breaks are kept."""
    return "".join(
        letter if letter == "\n" or is_visible(letter) else letter.encode("unicode_escape").decode() for letter in text
    )


def is_visible(letter: str) -> bool:
    """Whether it is a character to look at, or a space of any width (全角 too)."""
    return letter.isprintable() or unicodedata.category(letter) == "Zs"


def _shown(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.isoformat(timespec="seconds")
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple, set, frozenset)):
        return ", ".join(map(str, value))
    return str(value)


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    raise TypeError(f"{type(value).__name__} is not shown as JSON")
