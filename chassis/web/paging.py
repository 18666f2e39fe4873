"""Cursor paging: an opaque place in a list that stays right while the list grows."""

import base64
from typing import Annotated
from uuid import UUID

from fastapi import Query

from chassis.web.problems import FieldError, invalid

Limit = Annotated[int, Query(ge=1, le=100, description="Items per page")]
Cursor = Annotated[str | None, Query(description="`next_cursor` of the page before")]


def write_cursor(last: UUID) -> str:
    return base64.urlsafe_b64encode(last.bytes).decode().rstrip("=")


def read_cursor(cursor: str | None) -> UUID | None:
    """The id after which the page begins. Problem 422 for a cursor that we did not write."""
    if cursor is None:
        return None
    try:
        return UUID(bytes=base64.urlsafe_b64decode(cursor + "=="))
    except ValueError:
        raise invalid(
            [FieldError("cursor", "cursor", "ページの指定が正しくありません。", "This cursor is not ours.")]
        ) from None
