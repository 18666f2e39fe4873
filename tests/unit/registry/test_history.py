"""HIS-6, CHG-3: which versions of a certificate are shown."""

from dataclasses import dataclass

import pytest

from services.registry.domain import standing


@dataclass(frozen=True)
class Line:
    version: int
    kind: str
    change_number: int


NEW, CHANGE = Line(1, "new", 0), Line(2, "change", 1)


@pytest.mark.parametrize(
    ("versions", "shown"),
    [
        ([NEW], [NEW]),
        ([NEW, CHANGE], [NEW, CHANGE]),
        ([NEW, CHANGE, Line(3, "correction", 1)], [NEW, Line(3, "correction", 1)]),
        ([NEW, Line(2, "correction", 0)], [Line(2, "correction", 0)]),
        ([NEW, CHANGE, Line(3, "cancellation", 1)], [NEW]),
        ([NEW, CHANGE, Line(3, "change", 2), Line(4, "cancellation", 2)], [NEW, CHANGE]),
        ([NEW, Line(2, "a kind of tomorrow", 1)], [NEW, Line(2, "a kind of tomorrow", 1)]),
    ],
    ids=["new", "changed", "change corrected", "new corrected", "change cancelled", "second cancelled", "unknown kind"],
)
def test_what_was_corrected_or_cancelled_is_not_shown(versions, shown):
    assert standing(versions[::-1]) == shown[::-1]
