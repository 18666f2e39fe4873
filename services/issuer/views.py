"""What the desk reads."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, Field

from chassis import sealing
from chassis.postgres import Transaction
from chassis.web.paging import moment, page_of, read_cursor
from reference.reader import Reference
from schemas.applications import ApplicationSubmitted
from schemas.decisions import Fee, Finding
from schemas.sealed import Contact
from services.issuer import sealed, store
from services.issuer.reading import store as reading
from services.issuer.searching import terms_of
from services.issuer.store import Row

Status = Literal["queued", "decided", "withdrawn"]


class Proposal(BaseModel):
    """What one person proposed and another has to approve (four eyes)."""

    outcome: str = Field(description="`accepted` or `returned`")
    message: str
    proposed_by: UUID
    proposer: str
    proposed_at: datetime


class Rejection(BaseModel):
    """A proposal that came to nothing, and why."""

    outcome: str
    proposer: str
    proposed_at: datetime
    person: str = Field(description="Who rejected it")
    rejected_at: datetime
    message: str


class QueuedApplication(BaseModel):
    """One line of the queue."""

    application_id: UUID
    contractor_name: str
    works_name: str
    purchaser_id: str
    products: list[str]
    amount_yen: int
    submitted_at: datetime
    waiting_since: datetime
    findings: list[Finding]
    proposal: Proposal | None


class Queue(BaseModel):
    items: list[QueuedApplication]
    next_cursor: str | None


class Waiting(BaseModel):
    """How many wait for a person, and how many of these have been proposed and wait for a second one."""

    waiting: int
    proposed: int


class FoundApplication(BaseModel):
    """One line of what a search found."""

    application_id: UUID
    status: Status
    contractor_name: str
    jv_name: str | None
    works_name: str
    purchaser_id: str
    products: list[str]
    amount_yen: int
    contract_numbers: list[str]
    submitted_at: datetime
    decided_at: datetime | None
    decider: str | None = Field(description="The desk's person; None where the rules decided, or nobody yet")
    desk_outcome: str | None
    proposal: Proposal | None


class Found(BaseModel):
    items: list[FoundApplication]
    next_cursor: str | None


class Outcome(BaseModel):
    """One product of an application, and what became of it."""

    product: str
    form: str
    amount_yen: int
    outcome: str | None = Field(description="`accepted`, `returned`; None before the decision")
    contract_number: str | None
    fee: Fee | None = Field(description="None for what was issued before fees were computed")
    findings: list[Finding] = Field(description="While it waits, why; when it is returned, the reasons")
    printed_at: datetime | None = Field(description="Of a certificate on paper")


class Message(BaseModel):
    """What contractor and desk wrote to each other about an application."""

    message_id: UUID
    direction: Literal["from_contractor", "to_contractor"]
    sent_at: datetime
    sent_by: UUID
    person: str | None = Field(description="Of the desk; None for the contractor's people")
    text: str | None = Field(description="None until the data key arrives, and after it is shredded")


class DeskApplication(BaseModel):
    """All facts of one application, with what is sealed opened for the desk."""

    application_id: UUID
    status: Status
    submitted: dict[str, Any] = Field(description="ApplicationSubmitted, without its sealed part")
    surety_name: str
    branch_name: str | None = Field(description="None when the reference data does not know it any more")
    purchaser_name: str | None
    purchaser_title: str | None
    contact: Contact | None = Field(description="None until its key arrives, and after it is shredded")
    can_write: bool = Field(description="Whether the data key for messages to the contractor is here")
    findings: list[Finding]
    outcomes: list[Outcome]
    queued_at: datetime | None
    decided_at: datetime | None
    decided_by: UUID | None = Field(description="The desk's person; None where the rules decided")
    decider: str | None = Field(description="The same by name")
    desk_outcome: str | None
    message: str = Field(description="Of the decision, to the contractor")
    withdrawal: str | None
    proposal: Proposal | None = Field(description="The one that waits for approval")
    approved: Proposal | None = Field(description="The one that another person approved, and so decided")
    rejections: list[Rejection]
    messages: list[Message]


class PaperCertificate(BaseModel):
    """A certificate on paper, to be printed."""

    contract_number: str
    application_id: UUID
    product: str
    amount_yen: int
    issued_at: datetime
    content: dict[str, Any]
    printed_at: datetime | None = Field(description="None until somebody took it off the list to print")


class ToPrint(BaseModel):
    items: list[PaperCertificate]
    next_cursor: str | None


async def queue(
    tx: Transaction,
    surety_id: str,
    *,
    cursor: str | None = None,
    limit: int = 20,
    product: str | None = None,
    proposed: bool | None = None,
) -> Queue:
    """What waits for a person, the longest first; all, or only what is `proposed` or is not."""
    after = read_cursor(cursor, moment, UUID)
    rows = await reading.queue(tx, surety_id, product, proposed=proposed, after=after, limit=limit + 1)
    items = []
    for row in rows[:limit]:
        event = ApplicationSubmitted.model_validate_json(row["submitted"])
        items.append(
            QueuedApplication(
                application_id=row["id"],
                contractor_name=event.contractor.name,
                works_name=event.works.name,
                purchaser_id=event.works.purchaser_id,
                products=[applied.product for applied in event.products],
                amount_yen=sum(applied.amount_yen for applied in event.products),
                submitted_at=event.submitted_at,
                waiting_since=row["queued_at"],
                findings=json.loads(row["findings"]),
                proposal=_proposal(row),
            )
        )
    return Queue(items=items, next_cursor=page_of(rows, limit, lambda row: (row["queued_at"], row["id"])))


async def waiting(tx: Transaction, surety_id: str, *, product: str | None = None) -> Waiting:
    """How many `queue` would list in all."""
    row = await reading.count_queue(tx, surety_id, product)
    return Waiting.model_validate(dict(row or {}))


async def search(
    tx: Transaction,
    surety_id: str,
    *,
    query: str,
    status: str | None = None,
    cursor: str | None = None,
    limit: int = 20,
) -> Found:
    """Applications by a part of a name, by contract number or id, the newest first; all for an empty query."""
    (after,) = read_cursor(cursor, UUID)
    rows = await reading.search(tx, surety_id, terms_of(query), status=status, after=after, limit=limit + 1)
    items = []
    for row in rows[:limit]:
        event = ApplicationSubmitted.model_validate_json(row["submitted"])
        items.append(
            FoundApplication(
                application_id=row["id"],
                status=row["status"],
                contractor_name=event.contractor.name,
                jv_name=event.works.jv_name,
                works_name=event.works.name,
                purchaser_id=event.works.purchaser_id,
                products=[applied.product for applied in event.products],
                amount_yen=sum(applied.amount_yen for applied in event.products),
                contract_numbers=row["contract_numbers"],
                submitted_at=event.submitted_at,
                decided_at=row["decided_at"],
                decider=row["decider"],
                desk_outcome=row["desk_outcome"],
                proposal=_proposal(row),
            )
        )
    return Found(items=items, next_cursor=page_of(rows, limit, lambda row: (row["id"],)))


async def application(
    tx: Transaction, application_id: UUID, surety_id: str, *, private_key: bytes, reference: Reference
) -> DeskApplication | None:
    """Everything about one application of this surety; None for any other."""
    row = await reading.one(tx, application_id, surety_id)
    if row is None:
        return None
    event = ApplicationSubmitted.model_validate_json(row["submitted"])
    surety = reference.surety(surety_id)
    purchaser = reference.purchasers.get(event.works.purchaser_id)
    findings: list[dict[str, Any]] = json.loads(row["findings"])
    return DeskApplication(
        application_id=application_id,
        status=row["status"],
        submitted=event.model_dump(mode="json", exclude={"contact"}),
        surety_name=surety.name,
        branch_name=next((branch.name for branch in surety.branches if branch.id == event.branch_id), None),
        purchaser_name=purchaser.name if purchaser else None,
        purchaser_title=purchaser.title if purchaser else None,
        contact=_open_contact(event, row["data_key"], private_key),
        can_write=row["data_key"] is not None,
        findings=findings,
        outcomes=_outcomes(event, row, findings, await reading.guarantees_of(tx, application_id)),
        queued_at=row["queued_at"],
        decided_at=row["decided_at"],
        decided_by=row["decided_by"],
        decider=row["decider"],
        desk_outcome=row["desk_outcome"],
        message=row["desk_message"],
        withdrawal=row["withdrawal"],
        proposal=_proposal(row),
        approved=_proposal(row, "decided"),
        rejections=[Rejection(**rejection) for rejection in await reading.rejections(tx, application_id)],
        messages=await messages(tx, application_id, surety_id, private_key=private_key) or [],
    )


async def messages(
    tx: Transaction, application_id: UUID, surety_id: str, *, private_key: bytes
) -> list[Message] | None:
    """What was written about an application, the oldest first; None for one that is not this surety's."""
    key = await store.data_key(tx, application_id, surety_id)
    if key is None:
        return None
    data_key = None
    if key["wrapped"] is not None:
        data_key = sealed.unwrap(application_id, key["data_key_id"], key["wrapped"], private_key)
    return [
        Message(
            message_id=row["message_id"],
            direction=row["direction"],
            sent_at=row["sent_at"],
            sent_by=row["sent_by"],
            person=row["person"],
            text=data_key and sealed.open_text(data_key, row["nonce"], row["ciphertext"], row["message_id"]),
        )
        for row in await reading.messages(tx, application_id)
    ]


async def to_print(tx: Transaction, surety_id: str, *, cursor: str | None = None, limit: int = 20) -> ToPrint:
    (after,) = read_cursor(cursor, UUID)
    rows = await reading.to_print(tx, surety_id, after, limit + 1)
    items = [_paper(row) for row in rows[:limit]]
    return ToPrint(items=items, next_cursor=page_of(rows, limit, lambda row: (row["certificate_id"],)))


async def paper(tx: Transaction, contract_number: str, surety_id: str) -> PaperCertificate | None:
    """One certificate on paper, printed or not; None for any other number."""
    row = await reading.paper(tx, surety_id, contract_number)
    return _paper(row) if row is not None else None


def _paper(row: Row) -> PaperCertificate:
    return PaperCertificate(
        contract_number=row["contract_number"],
        application_id=row["application_id"],
        product=row["product"],
        amount_yen=row["amount_yen"],
        issued_at=row["issued_at"],
        content=json.loads(row["content"]),
        printed_at=row["printed_at"],
    )


def _proposal(row: Row, status: Status = "queued") -> Proposal | None:
    if row["proposed"] is None or row["status"] != status:
        return None
    return Proposal(
        outcome=row["proposed"],
        message=row["proposed_message"],
        proposed_by=row["proposed_by"],
        proposer=row["proposer"],
        proposed_at=row["proposed_at"],
    )


def _outcomes(
    event: ApplicationSubmitted,
    row: Row,
    findings: list[dict[str, Any]],
    guarantees: Sequence[Row],
) -> list[Outcome]:
    """Product by product in the order of the form. What was decided before outcomes were kept is told by guarantees."""
    numbered = {guarantee["product"]: guarantee for guarantee in guarantees}
    told = {outcome["product"]: outcome for outcome in json.loads(row["outcomes"] or "[]")}
    decided = row["status"] == "decided"
    outcomes = []
    for applied in event.products:
        guarantee = numbered.get(applied.product)
        fee = guarantee and guarantee["fee"]
        reasons = told.get(applied.product, {}).get("reasons", [])
        waits = [finding for finding in findings if finding["product"] == applied.product]
        outcomes.append(
            Outcome(
                product=applied.product,
                form=applied.form,
                amount_yen=applied.amount_yen,
                outcome=("accepted" if guarantee else "returned") if decided else None,
                contract_number=guarantee and guarantee["contract_number"],
                fee=Fee.model_validate_json(fee) if fee else None,
                findings=reasons if decided else waits,
                printed_at=guarantee and guarantee["printed_at"],
            )
        )
    return outcomes


def _open_contact(event: ApplicationSubmitted, wrapped: bytes | None, private_key: bytes) -> Contact | None:
    if wrapped is None:
        return None
    data_key = sealed.unwrap(event.application_id, event.contact.data_key_id, wrapped, private_key)
    opened = data_key.open(
        sealing.unb64(event.contact.nonce), sealing.unb64(event.contact.ciphertext), about=event.application_id
    )
    return Contact.model_validate_json(opened)
