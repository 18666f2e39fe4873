"""May this account see that certificate, or try again? What of its history? Pure."""

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, NamedTuple, Protocol, TypeVar
from uuid import UUID

#: Compared with when there is nothing to compare with, so that every answer costs the same.
DUMMY_DIGEST: Final = "0" * 64


class Certificate(NamedTuple):
    """What is recorded of a certificate, column by column, but for when it arrived."""

    certificate_id: UUID
    contract_number: str
    version: int
    change_number: int
    application_id: UUID
    product: str
    surety_id: str
    purchaser_id: str
    issued_at: datetime
    #: Canonical, as `content_sha256` is of it.
    content: str
    content_sha256: str
    key_digest: str
    pepper_id: str


@dataclass(frozen=True)
class Limits:
    """How often an account may be wrong within a window (KEY-9)."""

    per_number: int
    per_account: int
    window: timedelta


@dataclass(frozen=True)
class Count:
    """How often an account was wrong since its window began."""

    window_began: datetime
    failures: int


#: An account, and what of it is counted: the account as a whole, or a number.
Subject = tuple[UUID, bytes]
#: The counter of an account as a whole.
WHOLE_ACCOUNT: Final = b""


class Attempts:
    """The counts of some accounts while their look-ups are answered, one after the other (KEY-9)."""

    def __init__(self, counted: Mapping[Subject, Count], *, now: datetime, limits: Limits) -> None:
        self._counted = counted
        self._counts = dict(counted)
        self._now = now
        self._limits = limits

    def count(self, account: UUID, number: bytes) -> int | None:
        """Count one more, before anything is compared; the seconds to wait when that is one too many."""
        for subject in (WHOLE_ACCOUNT, number):
            count = self._standing(self._counts[account, subject])
            self._counts[account, subject] = Count(count.window_began, count.failures + 1)
        for subject, limit in ((WHOLE_ACCOUNT, self._limits.per_account), (number, self._limits.per_number)):
            count = self._counts[account, subject]
            if count.failures > limit:
                return seconds_until_free(count.window_began, now=self._now, limits=self._limits)
        return None

    def uncount(self, account: UUID, number: bytes) -> None:
        """A right key was no failure."""
        for subject in (WHOLE_ACCOUNT, number):
            count = self._counts[account, subject]
            self._counts[account, subject] = Count(count.window_began, count.failures - 1)

    @property
    def changed(self) -> dict[Subject, Count]:
        return {subject: count for subject, count in self._counts.items() if count != self._counted[subject]}

    def _standing(self, count: Count) -> Count:
        """A window that is over counts no more; one that began further ahead than it is long was noted by a clock that
        was wrong.
        """
        stands = self._now - self._limits.window < count.window_began <= self._now + self._limits.window
        return count if stands else Count(self._now, 0)


def key_fits(stored_digest: str | None, given_digest: str, *, is_for_this_purchaser: bool) -> bool:
    """Constant in time, whether the number is unknown, someone else's, or the key wrong (KEY-10)."""
    equal = hmac.compare_digest(stored_digest or DUMMY_DIGEST, given_digest)
    return equal and stored_digest is not None and is_for_this_purchaser


def seconds_until_free(window_began: datetime, *, now: datetime, limits: Limits) -> int:
    """How long a throttled account has to wait: at least a second, at most the window."""
    return max(1, int((window_began + limits.window - now).total_seconds()) + 1)


#: 対象 of a version that takes back the change whose number it bears. (変更取消)
CANCELLATION: Final = "cancellation"


class Line(Protocol):
    """A version in the history of a certificate."""

    @property
    def kind(self) -> str: ...

    @property
    def change_number(self) -> int: ...


AnyLine = TypeVar("AnyLine", bound=Line)


def standing(versions: Sequence[AnyLine]) -> list[AnyLine]:
    """What of a history is shown, newest first like what is given (HIS-6, CHG-3).

    A version stands until a later one bears its change number: a correction in its place, or a cancellation, which is
    itself not shown.
    """
    seen: set[int] = set()
    shown = []
    for version in versions:
        if version.change_number not in seen and version.kind != CANCELLATION:
            shown.append(version)
        seen.add(version.change_number)
    return shown
