"""Who gets a letter, when is it tried again, and what does an SMTP server's answer mean? Pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Final, NamedTuple, assert_never
from uuid import UUID

#: The certificate can be looked at and its key be fetched (MAIL-1, MAIL-2).
COMPLETION: Final = "completion"
#: Products of the application were returned (MAIL-7).
RETURNED: Final = "returned"
#: The purchaser opened the certificate for the first time (MAIL-8).
VIEWED: Final = "viewed"
#: To the surety: a letter to the contractor was given up (MAIL-9). In the ledger each is named after that letter.
UNDELIVERABLE: Final = "undeliverable"

#: Reply codes that speak of us (not logged in, closing down), whatever command they answer.
ABOUT_US: Final = frozenset({421, 454, 530, 534, 535, 538})
#: Enhanced codes of a final no (RFC 3463) that speak of the surety's address, of the server, or of what we may: a
#: relay that does not know us any more refuses every letter so, at RCPT or DATA.
_NOT_ABOUT_THE_LETTER: Final = re.compile(r"5\.(?:1\.[78]|3\.[25]|7\.\d+)\b")


class Wishes(NamedTuple):
    """Which letters about an application its contractor gets."""

    completion: bool
    returned: bool
    viewed: bool


def undeliverable(letter: str) -> str:
    """The ledger's name of the letter to the surety about this one: each letter that is given up is told of once."""
    return f"{UNDELIVERABLE}.{letter}"


def kind_of(letter: str) -> str:
    """Which of the four letters a name in the ledger stands for."""
    return letter.partition(".")[0]


def told_by(letter: str) -> str | None:
    """The letter that a letter to the surety tells of; None for a letter to the contractor."""
    return letter.partition(".")[2] or None


def message_id(about_id: UUID, letter: str, *, mail_from: str) -> str:
    """The same letter always has the same Message-ID, so that a repeat can be recognised. `about_id` is the
    certificate's, or the application's where the letter is about it as a whole.
    """
    return f"<{about_id}.{letter}@{_domain(mail_from)}>"


def list_id(letter: str, *, surety_id: str, mail_from: str) -> str:
    """By what a mail program can sort: one list for each surety and kind of letter (RFC 2919)."""
    return f"<{kind_of(letter)}.{surety_id}.{_domain(mail_from)}>"


def page(contractor_url: str, *, surety_id: str, application_id: UUID, contract_number: str | None) -> str:
    """Where the contractor finds what a letter tells: the guarantee, or the application where there is none."""
    place = f"applications/{application_id}" if contract_number is None else f"guarantees/{contract_number}"
    return f"{contractor_url}/contractor/{surety_id}/{place}"


def _domain(mail_address: str) -> str:
    return mail_address.rpartition("@")[2]


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


def outcome_of_reply(stage: Stage, smtp_code: int, text: str) -> Outcome:
    """What a reply other than success means; `text` is what it says after the code.

    A final no (5xx) counts only where it is about address or letter. Said to us or to the surety it is a fault in
    somebody's configuration: the letters wait until a person has mended it.
    """
    if stage is Stage.SERVER or smtp_code in ABOUT_US:
        return PutOff(by_server=True, smtp_code=smtp_code)
    is_final = smtp_code >= 500  # noqa: PLR2004 - RFC 5321 4.2.1
    if is_final and stage is not Stage.SENDER and not _NOT_ABOUT_THE_LETTER.match(text):
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

    @property
    def longest_wait(self) -> timedelta:
        return timedelta(seconds=max(self.waits_seconds))

    def next_try(self, *, deferrals: int, attempts: int, queued_at: datetime, now: datetime) -> datetime | None:
        """After `deferrals` earlier ones; None when it has waited too long and is given up.

        Never before it was tried as often as there are waits: a clock that leaps ahead ends no letter.
        """
        is_old = now - queued_at >= timedelta(seconds=self.give_up_after_seconds)
        if is_old and attempts >= len(self.waits_seconds):
            return None
        return now + timedelta(seconds=self.waits_seconds[min(deferrals, len(self.waits_seconds) - 1)])
