"""Who gets a letter, when is it tried again, and what does an SMTP server's answer mean? Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Final, assert_never
from uuid import UUID

from reference import codes

#: The one letter there is: the certificate can be looked at and its key be fetched (MAIL-1, MAIL-2).
COMPLETION: Final = "completion"

#: Reply codes that speak of us (not logged in, closing down), whatever command they answer.
ABOUT_US: Final = frozenset({421, 454, 530, 534, 535, 538})


class UnknownRule(ValueError):
    """Reference data holds a rule for the completion mail that this program does not know."""


def is_wanted(rule: str, *, wished: bool) -> bool:
    """Whether a contractor is told by mail: by wish (Net Desk, MAIL-1) or always (e-Net, MAIL-2)."""
    match rule:
        case codes.OPT_IN:
            return wished
        case codes.ALWAYS:
            return True
        case _:
            raise UnknownRule(rule)


def message_id(certificate_id: UUID, letter: str, *, mail_from: str) -> str:
    """The same letter always has the same Message-ID, so that a repeat can be recognised."""
    return f"<{certificate_id}.{letter}@{mail_from.rpartition('@')[2]}>"


class Stage(Enum):
    """How far a conversation had come."""

    #: Greeting, EHLO, TLS and log-in: nothing yet is about this letter.
    SERVER = "server"
    #: MAIL FROM: about the surety's address.
    SENDER = "sender"
    #: RCPT TO: about the address.
    RECIPIENT = "recipient"
    #: DATA: about the letter; from here on it may have left.
    LETTER = "letter"


@dataclass(frozen=True)
class Sent:
    """The server took the letter over."""


@dataclass(frozen=True)
class PutOff:
    """Not now. `by_server`: it takes no letter of ours at all, so there is no use in trying the next one."""

    by_server: bool
    smtp_code: int | None = None


@dataclass(frozen=True)
class GivenUp:
    """Never."""

    reason: str
    smtp_code: int | None = None


@dataclass(frozen=True)
class Unclear:
    """The letter may or may not have left."""


Outcome = Sent | PutOff | GivenUp | Unclear


def outcome_of_reply(stage: Stage, smtp_code: int) -> Outcome:
    """What a reply other than success means.

    A final no (5xx) counts only where it is about address or letter. Said to us or to the surety it is a fault in
    somebody's configuration: the letters wait until a person has mended it.
    """
    if stage is Stage.SERVER or smtp_code in ABOUT_US:
        return PutOff(by_server=True, smtp_code=smtp_code)
    if stage is not Stage.SENDER and 500 <= smtp_code < 600:  # noqa: PLR2004 - permanent, RFC 5321 4.2.1
        return GivenUp("refused", smtp_code)
    return PutOff(by_server=False, smtp_code=smtp_code)


def outcome_of_silence(stage: Stage) -> Outcome:
    """What a lost connection or a time-out means."""
    match stage:
        case Stage.SERVER | Stage.SENDER:
            return PutOff(by_server=True)
        case Stage.RECIPIENT:
            # Perhaps the server waits for somebody else to vouch for the address: the others need not wait with it.
            return PutOff(by_server=False)
        case Stage.LETTER:
            return Unclear()
        case _:
            assert_never(stage)


@dataclass(frozen=True)
class BackOff:
    """When a letter that was put off is tried again."""

    #: The last one repeats.
    waits_seconds: Sequence[float]
    give_up_after_seconds: float

    def next_try(self, *, deferrals: int, queued_at: datetime, now: datetime) -> datetime | None:
        """After `deferrals` earlier ones; None when it has waited too long and is given up."""
        if now - queued_at >= timedelta(seconds=self.give_up_after_seconds):
            return None
        return now + timedelta(seconds=self.waits_seconds[min(deferrals, len(self.waits_seconds) - 1)])
