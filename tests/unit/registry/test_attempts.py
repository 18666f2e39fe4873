"""KEY-9: how often an account may be wrong, counted one attempt after the other."""

import uuid
from datetime import timedelta

from services.registry.domain import WHOLE_ACCOUNT, Attempts, Count, Limits
from tests.support.clock import NOON

ACCOUNT, NUMBER, OTHER = uuid.UUID(int=1), b"number", b"other"
LIMITS = Limits(per_number=2, per_account=3, window=timedelta(minutes=15))


def counted(*, in_all=0, of_number=0, since=NOON):
    return {
        (ACCOUNT, WHOLE_ACCOUNT): Count(since, in_all),
        (ACCOUNT, NUMBER): Count(since, of_number),
        (ACCOUNT, OTHER): Count(since, 0),
    }


def attempts(counts, now=NOON):
    return Attempts(counts, now=now, limits=LIMITS)


def test_the_attempt_after_the_last_that_may_fail_is_not_compared():
    these = attempts(counted())

    waits = [these.count(ACCOUNT, NUMBER) for _ in range(3)]

    assert waits == [None, None, 901]
    assert these.changed == {(ACCOUNT, WHOLE_ACCOUNT): Count(NOON, 3), (ACCOUNT, NUMBER): Count(NOON, 3)}


def test_an_account_is_closed_whatever_the_numbers_are():
    these = attempts(counted(in_all=3))

    assert these.count(ACCOUNT, OTHER) == 901


def test_a_right_key_changes_nothing():
    these = attempts(counted(in_all=2, of_number=1))

    for _ in range(9):
        assert these.count(ACCOUNT, NUMBER) is None
        these.uncount(ACCOUNT, NUMBER)

    assert these.changed == {}


def test_a_window_that_is_over_begins_anew():
    later = NOON + LIMITS.window
    these = attempts(counted(in_all=9, of_number=9), now=later)

    assert these.count(ACCOUNT, NUMBER) is None
    assert these.changed[ACCOUNT, NUMBER] == Count(later, 1)


def test_a_window_goes_on_from_when_it_began():
    later = NOON + timedelta(minutes=14)
    these = attempts(counted(in_all=2, of_number=2), now=later)

    assert these.count(ACCOUNT, NUMBER) == 61


def test_a_window_that_a_wrong_clock_began_far_ahead_closes_nothing():
    ahead = NOON + LIMITS.window + timedelta(seconds=1)

    assert attempts(counted(in_all=9, of_number=9, since=ahead)).count(ACCOUNT, NUMBER) is None
