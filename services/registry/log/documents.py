"""Which leaves has an event? The same ones whenever they are made: live, in a replay, or for a proof."""

import hmac
from datetime import datetime
from typing import Any
from uuid import UUID

from schemas.views import CertificateViewed
from services.registry.domain import Certificate
from transparency import leaves
from transparency.leaves import Document, utc_text


def salt_of(event_salt: bytes, kind: str) -> bytes:
    """The salt of one leaf from that of its event: HMAC-SHA256 under the event's, of the leaf's kind.

    So one leaf can be shown without opening the other.
    """
    return hmac.digest(event_salt, kind.encode(), "sha256")


def of_certificate(row: Any) -> Document:
    """From a row of `certificate`, or what has its columns."""
    return leaves.certificate_leaf(
        certificate_id=str(row["certificate_id"]),
        contract_number=row["contract_number"],
        version=row["version"],
        change_number=row["change_number"],
        application_id=str(row["application_id"]),
        product=row["product"],
        surety_id=row["surety_id"],
        purchaser_id=row["purchaser_id"],
        content_sha256=row["content_sha256"],
        key_digest=row["key_digest"],
        pepper_id=row["pepper_id"],
        issued_at=utc_text(row["issued_at"]),
    )


def of_issued(issued: Certificate) -> Document:
    """As `of_certificate`, before there is a row. Raises `WrongField` for what no leaf can hold."""
    return leaves.certificate_leaf(
        certificate_id=str(issued.certificate_id),
        contract_number=issued.contract_number,
        version=issued.version,
        change_number=issued.change_number,
        application_id=str(issued.application_id),
        product=issued.product,
        surety_id=issued.surety_id,
        purchaser_id=issued.purchaser_id,
        content_sha256=issued.content_sha256,
        key_digest=issued.key_digest,
        pepper_id=issued.pepper_id,
        issued_at=utc_text(issued.issued_at),
    )


def of_registration(
    *, certificate_id: UUID, contract_number: str, version: int, content_sha256: str, registered_at: datetime
) -> Document:
    return leaves.registration_leaf(
        certificate_id=str(certificate_id),
        contract_number=contract_number,
        version=version,
        content_sha256=content_sha256,
        registered_at=utc_text(registered_at),
    )


def of_registered(row: Any) -> Document:
    """As `of_registration`, from a row of `certificate`, or what has its columns."""
    return of_registration(
        certificate_id=row["certificate_id"],
        contract_number=row["contract_number"],
        version=row["version"],
        content_sha256=row["content_sha256"],
        registered_at=row["registered_at"],
    )


def of_view(
    *,
    view_id: UUID,
    certificate_id: UUID,
    contract_number: str,
    version: int,
    purchaser_id: str,
    viewed_by: UUID,
    viewed_at: datetime,
) -> Document:
    return leaves.view_leaf(
        view_id=str(view_id),
        certificate_id=str(certificate_id),
        contract_number=contract_number,
        version=version,
        purchaser_id=purchaser_id,
        viewed_by=str(viewed_by),
        viewed_at=utc_text(viewed_at),
    )


def of_viewed(event: CertificateViewed) -> Document:
    return of_view(
        view_id=event.view_id,
        certificate_id=event.certificate_id,
        contract_number=event.contract_number,
        version=event.version,
        purchaser_id=event.purchaser_id,
        viewed_by=event.viewed_by,
        viewed_at=event.viewed_at,
    )
