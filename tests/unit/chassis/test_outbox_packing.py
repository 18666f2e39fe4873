"""What a header says survives the outbox, whatever its bytes are."""

from hypothesis import example, given
from hypothesis import strategies as st

from chassis.outbox import pack, unpack

HEADERS = st.lists(st.tuples(st.text(st.characters(exclude_categories=["Cs"])), st.binary()), max_size=6)


@given(HEADERS)
@example([("x", bytes(range(256)))])
@example([("same", b"1"), ("same", b"2")])
def test_any_bytes_come_back_as_they_were_and_in_order(headers):
    assert unpack(pack(tuple(headers))) == headers


@given(HEADERS)
def test_what_is_packed_is_text_that_postgresql_takes(headers):
    assert "\x00" not in pack(tuple(headers))
