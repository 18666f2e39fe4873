"""KEY-9 and KEY-10: who may see a certificate, and when somebody who was wrong may try again."""

from datetime import timedelta

import pytest

from services.registry.domain import DUMMY_DIGEST, Limits, key_fits, seconds_until_free
from tests.support.clock import NOON

DIGEST = "a" * 64
LIMITS = Limits(per_number=5, per_account=30, window=timedelta(minutes=15))


def test_the_right_key_of_ones_own_certificate_fits():
    assert key_fits(DIGEST, DIGEST, is_for_this_purchaser=True)


@pytest.mark.parametrize(
    ("stored", "given_digest", "own"),
    [(DIGEST, "b" * 64, True), (DIGEST, DIGEST, False), (None, DIGEST, True), (None, DUMMY_DIGEST, True)],
    ids=["a wrong key", "another purchaser's", "an unknown number", "an unknown number and the dummy's digest"],
)
def test_nothing_else_fits(stored, given_digest, own):
    assert not key_fits(stored, given_digest, is_for_this_purchaser=own)


@pytest.mark.parametrize(
    ("passed", "seconds"),
    [
        (timedelta(), 901),
        (timedelta(minutes=5), 601),
        (timedelta(minutes=14, seconds=59, milliseconds=900), 1),
        (timedelta(minutes=15), 1),
        (timedelta(minutes=20), 1),
    ],
)
def test_the_wait_ends_with_the_window_and_is_never_nothing(passed, seconds):
    assert seconds_until_free(NOON, now=NOON + passed, limits=LIMITS) == seconds


@pytest.mark.parametrize("milliseconds", [0, 1, 500, 999, 899_999])
def test_after_the_wait_the_window_is_over(milliseconds):
    now = NOON + timedelta(milliseconds=milliseconds)
    wait = timedelta(seconds=seconds_until_free(NOON, now=now, limits=LIMITS))

    assert now + wait >= NOON + LIMITS.window
