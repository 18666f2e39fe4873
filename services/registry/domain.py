"""May this account see that certificate, or try again? What of its history? Pure."""

import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol, TypeVar

#: Compared with when there is nothing to compare with, so that every answer costs the same.
DUMMY_DIGEST: Final = "0" * 64


@dataclass(frozen=True)
class Limits:
    """How often an account may be wrong within a window (KEY-9)."""

    per_number: int
    per_account: int
    window: timedelta


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
