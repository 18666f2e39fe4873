"""Cursor paging: an opaque place in a list that stays right while the list grows."""

import base64
import json
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Annotated, Any, TypeVar

from fastapi import Query

from chassis.web.problems import FieldError, invalid
from schemas.event import in_every_zone

Limit = Annotated[int, Query(ge=1, le=100, description="Items per page")]
Cursor = Annotated[str | None, Query(max_length=400, description="`next_cursor` of the page before")]

Row = TypeVar("Row")


def moment(text: str) -> datetime:
    """A kind for `read_cursor`: a moment that every time zone, and so the database, has."""
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError("A moment without a time zone.")
    return in_every_zone(at)


def write_cursor(*parts: object) -> str:
    return base64.urlsafe_b64encode(json.dumps([str(part) for part in parts]).encode()).decode().rstrip("=")


def read_cursor(cursor: str | None, *kinds: Callable[[str], Any]) -> tuple[Any, ...]:
    """The parts after which the page begins, each by its kind; all None for the first page.

    Problem 422 for a cursor that we did not write.
    """
    if cursor is None:
        return (None,) * len(kinds)
    try:
        parts = json.loads(base64.urlsafe_b64decode(cursor + "=="))
        return tuple(kind(part) for kind, part in zip(kinds, parts, strict=True))
    except (ValueError, TypeError, AttributeError, RecursionError):
        raise invalid(
            [FieldError("cursor", "cursor", "ページの指定が正しくありません。", "This cursor is not ours.")]
        ) from None


def page_of(rows: Sequence[Row], limit: int, place: Callable[[Row], tuple[object, ...]]) -> str | None:
    """The cursor after `limit` rows, where one more was read to see whether there is more."""
    return write_cursor(*place(rows[limit - 1])) if len(rows) > limit else None
