"""経過: what happened to an application, and who did it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from chassis.web.wording import noted
from services.issuer import views

SUBMITTED: Final = noted("申込受付")
QUEUED: Final = noted("審査待ち")
PROPOSED: Final = {"accepted": noted("引受けを起案"), "returned": noted("差戻しを起案")}
REJECTED: Final = noted("起案を却下")
DECIDED: Final = {"accepted": noted("引受けを決定"), "returned": noted("差戻しを決定")}
BY_RULES: Final = noted("規則により決定")
CONTRACTOR: Final = noted("契約者")
RULES: Final = noted("自動判定")


@dataclass(frozen=True)
class Entry:
    at: datetime
    text: str
    #: By name; a text of ours where it was no person of the desk.
    who: str
    note: str = ""


def history_of(application: views.DeskApplication, submitted_at: datetime) -> list[Entry]:
    """The oldest first."""
    entries = [Entry(submitted_at, SUBMITTED, CONTRACTOR)]
    if application.queued_at is not None:
        entries.append(Entry(application.queued_at, QUEUED, RULES))
    for rejection in application.rejections:
        entries.append(Entry(rejection.proposed_at, PROPOSED[rejection.outcome], rejection.proposer))
        entries.append(Entry(rejection.rejected_at, REJECTED, rejection.person, rejection.message))
    if (proposal := application.proposal) is not None:
        entries.append(Entry(proposal.proposed_at, PROPOSED[proposal.outcome], proposal.proposer, proposal.message))
    if (approved := application.approved) is not None:
        # Its words are the decision's.
        entries.append(Entry(approved.proposed_at, PROPOSED[approved.outcome], approved.proposer))
    if application.decided_at is not None:
        if application.decider is None or application.desk_outcome is None:
            entries.append(Entry(application.decided_at, BY_RULES, RULES))
        else:
            text = DECIDED[application.desk_outcome]
            entries.append(Entry(application.decided_at, text, application.decider, application.message))
    return sorted(entries, key=lambda entry: entry.at)
