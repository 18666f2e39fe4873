"""A cursor is a place in a list that we wrote, or it is refused."""

import base64
import uuid

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chassis.web.paging import page_of, read_cursor, write_cursor
from chassis.web.problems import Problem


@given(st.uuids(), st.text())
def test_a_cursor_is_read_as_it_was_written(identity, product):
    assert read_cursor(write_cursor(identity, product), uuid.UUID, str) == (identity, product)


def test_the_first_page_is_after_nothing():
    assert read_cursor(None, uuid.UUID, str) == (None, None)


@given(st.text() | st.binary().map(lambda raw: base64.urlsafe_b64encode(raw).decode()))
@example(write_cursor("1"))
@example(write_cursor(uuid.UUID(int=1), "a"))
@example(base64.urlsafe_b64encode(b"{}").decode())
@example(base64.urlsafe_b64encode(b"[5]").decode())
@example(base64.urlsafe_b64encode(b"[[]]").decode())
@example(base64.urlsafe_b64encode(b"[" * 20_000).decode())
@example("あ")
@example("=")
def test_what_we_did_not_write_is_refused_and_nothing_else(cursor):
    with pytest.raises(Problem) as problem:
        read_cursor(cursor, uuid.UUID)

    assert problem.value.status == 422
    assert [error.field for error in problem.value.errors] == ["cursor"]


def test_there_is_a_next_page_only_when_one_more_row_was_found():
    assert page_of([1, 2], 2, lambda row: (row,)) is None
    assert page_of([1, 2, 3], 2, lambda row: (row,)) == write_cursor(2)
    assert page_of([], 2, lambda row: (row,)) is None
