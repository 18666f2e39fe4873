"""What must be so after a fault, when everything that was accepted has come to its end."""

import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.fault.load import Sent, has_come_to_its_end, mails_told
from tests.support.auditing import auditors_check
from tests.support.running import Client, RunningStack, eventually

SETTLE_SECONDS: Final = 120
#: The property of a report that lists what a soak did.
HAPPENED: Final = "happened"


@dataclass(frozen=True)
class Figures:
    """What a case came to."""

    accepted: int
    certificates: int
    mails: int
    lost: int
    certificates_doubled: int
    mails_doubled: int
    #: From the last application's answer to the last mail.
    seconds_late: float


#: Of the test that runs.
FIGURES: list[Figures] = []


async def settled(
    stack: RunningStack,
    contractor: Client,
    sent: Sent,
    mails_before: Counter[str],
    folder: Path,
    *,
    mails_to_the_office: int = 0,
) -> Counter[str]:
    """Everything came to its end and the auditor agrees; the mails that came, by Message-ID."""
    began = time.monotonic()
    await eventually(stack.is_whole, SETTLE_SECONDS)
    await eventually(lambda: has_come_to_its_end(contractor, sent), SETTLE_SECONDS)
    applications = await contractor.all_items("/api/applications")
    assert len(applications) == len(sent.ends), "an application nobody was told of"

    async def all_mails_told() -> bool:
        return await mails_told(contractor, "sent") == sent.wished_mails

    await eventually(all_mails_told, SETTLE_SECONDS)
    settled_at = time.monotonic()
    report = await auditors_check(stack, folder, SETTLE_SECONDS)
    assert not sent.ends.keys() & {str(application_id) for application_id, _ in report.pending}
    mails = await stack.mails_by_message_id() - mails_before
    assert len(mails) == sent.wished_mails + mails_to_the_office, "every wished mail, and no other"
    guarantees = await contractor.all_items("/api/guarantees")
    numbers = {guarantee["contract_number"] for guarantee in guarantees}
    assert len(numbers) == len(guarantees)
    assert sum(guarantee["form"] == "electronic" for guarantee in guarantees) == sent.electronic
    FIGURES.append(
        Figures(
            accepted=len(sent.ends),
            certificates=sent.electronic,
            mails=len(mails),
            lost=len(sent.ends) - len(applications),
            certificates_doubled=len(guarantees) - len(numbers),
            mails_doubled=mails.total() - len(mails),
            seconds_late=settled_at - began,
        )
    )
    return mails
