"""A sudden rise of parked records stops the consumer; a few do not."""

import pytest

from chassis.consumer import ParkingGuard, TooManyParked


def test_up_to_the_limit_records_may_be_parked():
    guard = ParkingGuard(3, "issuer")
    guard.check(2)
    guard.count(2)

    guard.check(1)

    assert not guard.tripped


def test_beyond_the_limit_nothing_is_parked():
    guard = ParkingGuard(3, "issuer")
    guard.count(2)

    with pytest.raises(TooManyParked):
        guard.check(2)


def test_once_tripped_it_stays_so():
    guard = ParkingGuard(0, "issuer")
    with pytest.raises(TooManyParked):
        guard.check(1)

    with pytest.raises(TooManyParked):
        guard.check(0)


def test_what_was_parked_more_than_a_minute_ago_is_forgotten(monkeypatch):
    now = 1000.0
    monkeypatch.setattr("chassis.consumer.time.monotonic", lambda: now)
    guard = ParkingGuard(3, "issuer")
    guard.count(3)
    now += 61

    guard.check(3)

    assert not guard.tripped
