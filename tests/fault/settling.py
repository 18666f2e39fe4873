"""What must be so after a fault, when everything that was accepted has come to its end.

It is counted first, whatever came of it, and judged then: what a case lost is in its row of the table, too.
"""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import product
from pathlib import Path
from typing import Final

from services.notifier.settings import NotifierSettings
from tests.fault.load import Sent, has_come_to_its_end, mails_told, not_at_their_end
from tests.support.auditing import auditors_check
from tests.support.running import Client, Document, RunningStack, eventually

SETTLE_SECONDS: Final = 120
#: The property of a report that lists what a soak did.
HAPPENED: Final = "happened"
#: Letters that one notifier has in hand at the same time.
SENDERS: Final[int] = NotifierSettings.model_fields["smtp_conversations"].default
NUMBER: Final = re.compile(r"\b[0-9]{5}-[0-9]{5}[0-9A-Z]\b")


@dataclass(frozen=True)
class Figures:
    """What a case came to."""

    accepted: int
    certificates: int
    mails: int
    #: Accepted, and not there as they must be.
    lost: int
    #: More than one of an application's product, or of a number.
    certificates_doubled: int
    #: Wished, and not there.
    mails_lost: int
    mails_doubled: int
    #: From the last application's answer to the last mail.
    seconds_late: float
    #: For an answer, by whoever waited longest, asking again and again.
    longest_wait: float


#: Of the test that runs.
FIGURES: list[Figures] = []


@dataclass(frozen=True)
class Mail:
    """One that came: what tells it from others, whom it went to, and which guarantees it names."""

    message_id: str
    to: frozenset[str]
    numbers: frozenset[str]
    came_at: float


async def settled(
    stack: RunningStack,
    contractor: Client,
    sent: Sent,
    mails_before: Counter[str],
    folder: Path,
    *,
    mails_to_the_office: int = 0,
    strikes: int = 0,
) -> Counter[str]:
    """Everything came to its end and the auditor agrees; the mails that came, by Message-ID.

    `strikes`: how often each of the notifier's senders may have forgotten what it had in hand, and said it again.
    """
    pending: set[str] = set()
    try:
        await _comes_to_its_end(stack, contractor, sent)
        report = await auditors_check(stack, folder, SETTLE_SECONDS)
        pending = {str(application_id) for application_id, _ in report.pending}
    finally:
        lost = pending & sent.ends.keys() | await not_at_their_end(contractor, sent)
        guarantees = await contractor.all_items("/api/guarantees")
        mails = await _mails_since(stack, mails_before)
        figures = _figures(sent, lost, guarantees, mails, sent.wished_mails + mails_to_the_office)
        FIGURES.append(figures)
    assert (figures.lost, figures.certificates_doubled, figures.mails_lost) == (0, 0, 0), (figures, lost)
    assert figures.certificates == sent.electronic
    applications = await contractor.all_items("/api/applications")
    assert len(applications) == len(sent.ends), "an application nobody was told of"
    _are_letters_of(guarantees, sent, mails)
    await _people_were_told_the_truth(stack, contractor, sent)
    copies = Counter(mail.message_id for mail in mails)
    assert len(copies) == sent.wished_mails + mails_to_the_office, "every wished mail, and no other"
    assert figures.mails_doubled <= SENDERS * strikes, f"more than {strikes} strikes explain"
    assert max(copies.values(), default=0) <= 1 + strikes, f"a letter came oftener than {strikes} strikes explain"
    return copies


async def _comes_to_its_end(stack: RunningStack, contractor: Client, sent: Sent) -> None:
    async def all_mails_told() -> bool:
        return await mails_told(contractor, "sent") == sent.wished_mails

    await eventually(stack.is_whole, SETTLE_SECONDS)
    await eventually(lambda: has_come_to_its_end(contractor, sent), SETTLE_SECONDS)
    await eventually(all_mails_told, SETTLE_SECONDS)


async def _mails_since(stack: RunningStack, mails_before: Counter[str]) -> list[Mail]:
    """Those that the mail box has now, and had not then: of each Message-ID the newest."""
    older, found = mails_before.copy(), list[Mail]()
    for one in reversed(await stack.mails()):
        if older[one["MessageID"]] > 0:
            older[one["MessageID"]] -= 1
            continue
        body = (await stack.mail(one["ID"])).get_body(("plain",))
        assert body is not None
        found.append(
            Mail(
                message_id=one["MessageID"],
                # Also whom only the envelope names.
                to=frozenset(person["Address"] for kind in ("To", "Cc", "Bcc") for person in one[kind]),
                numbers=frozenset(NUMBER.findall(body.get_content())),
                came_at=datetime.fromisoformat(one["Created"]).timestamp(),
            )
        )
    return found


def _figures(
    sent: Sent, lost: Iterable[str], guarantees: list[Document], mails: list[Mail], wished_mails: int
) -> Figures:
    numbers = {guarantee["contract_number"] for guarantee in guarantees}
    products = {(guarantee["application_id"], guarantee["product"]) for guarantee in guarantees}
    names = {mail.message_id for mail in mails}
    return Figures(
        accepted=len(sent.ends),
        certificates=sum(guarantee["form"] == "electronic" for guarantee in guarantees),
        mails=len(names),
        lost=len(set(lost)),
        certificates_doubled=len(guarantees) - min(len(numbers), len(products)),
        mails_lost=max(0, wished_mails - len(names)),
        mails_doubled=len(mails) - len(names),
        seconds_late=max([0.0, *(mail.came_at - sent.answered_at for mail in mails)]),
        longest_wait=sent.longest_wait_seconds,
    )


async def _people_were_told_the_truth(stack: RunningStack, contractor: Client, sent: Sent) -> None:
    """What was written is there once, at both ends; each look-up is counted where the contractor sees it."""
    ends = {"/api": contractor, "/api/desk": await stack.desk("toto")} if sent.written else {}

    async def read(prefix: str, application_id: str) -> bool:
        found = (await ends[prefix].document(f"{prefix}/applications/{application_id}/messages"))["items"]
        texts = Counter(message["text"] for message in found)
        assert set(texts.values()) <= {1}, f"{prefix} has a message of {application_id} twice"
        return texts.keys() == set(sent.written[application_id])

    async def counted(number: str) -> bool:
        return bool((await contractor.document(f"/api/guarantees/{number}"))["views"])

    for prefix, application_id in product(ends, sent.written):
        await eventually(partial(read, prefix, application_id), SETTLE_SECONDS)
    for number in sent.opened:
        await eventually(partial(counted, number), SETTLE_SECONDS)


def _are_letters_of(guarantees: list[Document], sent: Sent, mails: list[Mail]) -> None:
    """Each mail is about one guarantee, went to whom its application named, and each guarantee has one letter."""
    wanted = {
        guarantee["contract_number"]: frozenset({sent.letters_to[guarantee["application_id"]]})
        for guarantee in guarantees
        if guarantee["form"] == "electronic" and guarantee["application_id"] in sent.letters_to
    }
    letters: dict[str, set[str]] = {}
    for mail in mails:
        (number,) = mail.numbers
        assert mail.to == wanted.get(number), f"{mail.message_id} is not a letter about {number}"
        letters.setdefault(number, set()).add(mail.message_id)
    assert letters.keys() == wanted.keys()
    assert all(len(names) == 1 for names in letters.values()), "one letter, however often it came"
