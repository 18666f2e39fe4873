"""What the desk reads."""

import json
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, Field

from chassis import sealing
from chassis.postgres import Transaction
from chassis.web.paging import page_of
from schemas.applications import ApplicationSubmitted
from schemas.decisions import Finding
from schemas.sealed import Contact
from services.issuer import store

READER = "issuer"


class QueuedApplication(BaseModel):
    """One line of the queue."""

    application_id: UUID
    contractor_name: str
    works_name: str
    products: list[str]
    amount_yen: int
    submitted_at: datetime
    queued_at: datetime | None
    findings: list[Finding]


class Queue(BaseModel):
    items: list[QueuedApplication]
    next_cursor: str | None


class DeskApplication(BaseModel):
    """All facts of one application, with its contact opened for the desk."""

    application_id: UUID
    status: str
    submitted: dict[str, Any] = Field(description="ApplicationSubmitted, without its sealed part")
    contact: Contact | None = Field(description="None until its key arrives, and after it is shredded")
    findings: list[Finding]
    queued_at: datetime | None
    decided_at: datetime | None
    decided_by: UUID | None
    desk_outcome: str | None
    withdrawal: str | None


class PaperCertificate(BaseModel):
    """A certificate on paper, to be printed."""

    contract_number: str
    application_id: UUID
    product: str
    amount_yen: int
    issued_at: datetime
    content: dict[str, Any]


class ToPrint(BaseModel):
    items: list[PaperCertificate]
    next_cursor: str | None


async def queue(tx: Transaction, surety_id: str, *, after: UUID | None, limit: int) -> Queue:
    rows = await store.queue(tx, surety_id, after, limit + 1)
    items = []
    for row in rows[:limit]:
        event = ApplicationSubmitted.model_validate_json(row["submitted"])
        items.append(
            QueuedApplication(
                application_id=row["id"],
                contractor_name=event.contractor.name,
                works_name=event.works.name,
                products=[applied.product for applied in event.products],
                amount_yen=sum(applied.amount_yen for applied in event.products),
                submitted_at=event.submitted_at,
                queued_at=row["queued_at"],
                findings=json.loads(row["findings"]),
            )
        )
    return Queue(items=items, next_cursor=page_of(rows, limit, lambda row: (row["id"],)))


async def application(
    tx: Transaction, application_id: UUID, surety_id: str, *, private_key: bytes
) -> DeskApplication | None:
    row = await store.one(tx, application_id, surety_id)
    if row is None:
        return None
    event = ApplicationSubmitted.model_validate_json(row["submitted"])
    return DeskApplication(
        application_id=application_id,
        status=row["status"],
        submitted=event.model_dump(mode="json", exclude={"contact"}),
        contact=_open_contact(event, row["data_key"], private_key),
        findings=json.loads(row["findings"]),
        queued_at=row["queued_at"],
        decided_at=row["decided_at"],
        decided_by=row["decided_by"],
        desk_outcome=row["desk_outcome"],
        withdrawal=row["withdrawal"],
    )


async def to_print(tx: Transaction, surety_id: str, *, after: UUID | None, limit: int) -> ToPrint:
    rows = await store.to_print(tx, surety_id, after, limit + 1)
    items = [
        PaperCertificate(
            contract_number=row["contract_number"],
            application_id=row["application_id"],
            product=row["product"],
            amount_yen=row["amount_yen"],
            issued_at=row["issued_at"],
            content=json.loads(row["content"]),
        )
        for row in rows[:limit]
    ]
    return ToPrint(items=items, next_cursor=page_of(rows, limit, lambda row: (row["certificate_id"],)))


def _open_contact(event: ApplicationSubmitted, wrapped: bytes | None, private_key: bytes) -> Contact | None:
    if wrapped is None:
        return None
    info = sealing.wrapping_info(event.application_id, READER)
    data_key = sealing.DataKey(event.contact.data_key_id, sealing.open_with(private_key, wrapped, info=info))
    opened = data_key.open(
        sealing.unb64(event.contact.nonce), sealing.unb64(event.contact.ciphertext), about=event.application_id
    )
    return Contact.model_validate_json(opened)
