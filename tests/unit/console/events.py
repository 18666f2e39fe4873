"""Events of a small world, each with one field changed where a test wants so."""

import hashlib
import uuid
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

from schemas.applications import ApplicationSubmitted, Contractor, ProductApplied, Works
from schemas.certificates import CertificateContent, CertificateIssued, Guarantor, HandlingOffice
from schemas.decisions import ApplicationDecided, ApplicationQueued, ApplicationWithdrawn, Finding, ProductOutcome
from schemas.registrations import CertificateRegistered
from schemas.sealed import SealedContact, SealedKey

APPLICATION = UUID(int=1)
CERTIFICATE = UUID(int=101)
NUMBER = "31072-000019"
ACCOUNT = UUID(int=7)
MOMENT = datetime(2026, 4, 10, 1, 2, 3, 456000, tzinfo=UTC)
ARRIVED = datetime(2026, 4, 10, 1, 2, 4, 567000, tzinfo=UTC)


def submitted(
    application: UUID = APPLICATION, products: tuple[tuple[str, str], ...] = (("performance", "electronic"),)
) -> ApplicationSubmitted:
    return ApplicationSubmitted(
        application_id=application,
        submitted_at=MOMENT,
        submitted_by=ACCOUNT,
        surety_id="toto",
        branch_id="utsunomiya",
        reference_version="2026.1+000000000000",
        contractor=Contractor(id="shimotsuke", name="下野建設", address="宇都宮市", representative="代表　太郎"),
        works=Works(
            name="道路改良工事",
            kind="construction",
            purchaser_id="tochigi",
            price_yen=10_000_000,
            contract_date=date(2026, 4, 1),
            term_from=date(2026, 4, 1),
            term_to=date(2027, 3, 31),
        ),
        products=tuple(
            ProductApplied(
                product=product,
                form=form,
                amount_yen=1_000_000,
                ratio_percent="10.0",
                fee_payment_method="transfer",
                fee_bill_to="下野建設",
                fee_statement_on_paper=False,
            )
            for product, form in products
        ),
        completion_mail_wanted=True,
        contact=SealedContact(data_key_id=UUID(int=9), nonce="AAAA", ciphertext="AAAA"),
    )


def outcome(
    product: str = "performance", form: str = "electronic", result: str = "accepted", number: str | None = None
) -> ProductOutcome:
    return ProductOutcome(product=product, form=form, outcome=result, contract_number=number)


def decided(
    application: UUID = APPLICATION, outcomes: tuple[ProductOutcome, ...] = (outcome(),), **changed: Any
) -> ApplicationDecided:
    fields = {
        "application_id": application,
        "decided_at": MOMENT,
        "decided_by": "rules",
        "rules_version": "2026.1",
        "reference_version": "2026.1+000000000000",
        "outcomes": outcomes,
    }
    return ApplicationDecided.model_validate(fields | changed)


def queued(application: UUID = APPLICATION) -> ApplicationQueued:
    finding = Finding(rule="LIM-2", message_ja="上限", message_en="limit")
    return ApplicationQueued(application_id=application, queued_at=MOMENT, findings=(finding,))


def withdrawn(application: UUID = APPLICATION) -> ApplicationWithdrawn:
    return ApplicationWithdrawn(application_id=application, withdrawn_at=MOMENT)


def content(number: str = NUMBER, **changed: Any) -> CertificateContent:
    fields = {
        "contract_number": number,
        "version": 1,
        "change_number": 0,
        "kind": "new",
        "dated": date(2026, 4, 10),
        "title": "保証証書（契約保証）",
        "legend": "この証書は電子的に発行されています。",
        "product": "performance",
        "product_name": "契約保証",
        "contractor_name": "下野建設",
        "contractor_address": "宇都宮市",
        "contractor_representative": "代表　太郎",
        "beneficiary": "栃木県知事",
        "amount_yen": 1_000_000,
        "guarantee_ends": date(2027, 3, 31),
        "works_name": "道路改良工事",
        "works_kind": "construction",
        "price_yen": 10_000_000,
        "term_from": date(2026, 4, 1),
        "term_to": date(2027, 3, 31),
        "contract_date": date(2026, 4, 1),
        "clause": "当会社は、保証契約者の債務の不履行により被保証者が受ける損害を金銭をもっててん補します。" * 3,
        "guarantor": Guarantor(
            name="東都保証", address="東京都", officer_title="取締役社長", officer_name="見本　一郎"
        ),
        "handling_office": HandlingOffice(name="宇都宮支店", telephone="028-000-0000", fax="028-000-0001"),
        "notes": ("保証契約者が…" * 5, "この証書は見本です。" * 5),
        "specimen": True,
    }
    return CertificateContent.model_validate(fields | changed)


def issued(
    certificate: UUID = CERTIFICATE, application: UUID = APPLICATION, number: str = NUMBER, **changed: Any
) -> CertificateIssued:
    says = changed.pop("content", None) or content(number)
    fields = {
        "certificate_id": certificate,
        "contract_number": number,
        "version": 1,
        "change_number": 0,
        "application_id": application,
        "product": "performance",
        "surety_id": "toto",
        "purchaser_id": "tochigi",
        "contractor_id": "shimotsuke",
        "issued_at": MOMENT,
        "reference_version": "2026.1+000000000000",
        "content": says,
        "content_sha256": says.sha256(),
        "authentication_key": SealedKey(
            digest=hashlib.sha256(number.encode()).hexdigest(), pepper_id="p", sealed="AAAA", sealed_to="k"
        ),
    }
    return CertificateIssued.model_validate(fields | changed)


def registered(event: CertificateIssued, **changed: Any) -> CertificateRegistered:
    fields = {
        "certificate_id": event.certificate_id,
        "contract_number": event.contract_number,
        "version": event.version,
        "change_number": event.change_number,
        "application_id": event.application_id,
        "product": event.product,
        "surety_id": event.surety_id,
        "purchaser_id": event.purchaser_id,
        "content_sha256": event.content_sha256,
        "registered_at": ARRIVED,
    }
    return CertificateRegistered.model_validate(fields | changed)


def held(event: CertificateIssued, **changed: Any) -> dict[str, Any]:
    """The registry's row of a certificate."""
    row = {
        "certificate_id": event.certificate_id,
        "contract_number": event.contract_number,
        "version": event.version,
        "change_number": event.change_number,
        "application_id": event.application_id,
        "product": event.product,
        "surety_id": event.surety_id,
        "purchaser_id": event.purchaser_id,
        "issued_at": event.issued_at,
        "content": event.content.canonical().decode(),
        "content_sha256": event.content_sha256,
        "key_digest": event.authentication_key.digest,
        "pepper_id": event.authentication_key.pepper_id,
        "registered_at": ARRIVED,
    }
    assert changed.keys() <= row.keys()
    return row | changed


def identity(number: int) -> UUID:
    return uuid.uuid5(uuid.NAMESPACE_OID, str(number))
