"""What a certificate says: everything resolved on the day it is issued, so that it reads the same for ever."""

from datetime import date

from reference.codes import PRODUCTS
from reference.model import Purchaser, Surety
from schemas.applications import ApplicationSubmitted, ProductApplied
from schemas.certificates import CertificateContent, Guarantor, HandlingOffice


def content_of(
    event: ApplicationSubmitted,
    applied: ProductApplied,
    *,
    number: str,
    dated: date,
    purchaser: Purchaser,
    surety: Surety,
) -> CertificateContent:
    """The first version of a certificate (対象: 新規), in the layout of CERT-1…CERT-9."""
    officer = surety.officer_on(dated)
    branch = surety.branch(event.branch_id)
    labels = PRODUCTS[applied.product]
    return CertificateContent(
        contract_number=number,
        version=1,
        change_number=0,
        kind="new",
        dated=dated,
        title=f"保証証書（{labels.full}）",
        legend=surety.certificate_legend if applied.form == "electronic" else "",
        product=applied.product,
        product_name=labels.full,
        contractor_name=event.contractor.name,
        contractor_address=event.contractor.address,
        contractor_representative=event.contractor.representative,
        jv_name=event.works.jv_name,
        beneficiary=purchaser.title,
        amount_yen=applied.amount_yen,
        # The profile's only rule so far: 保証期限 is the end of 工期.
        guarantee_ends=event.works.term_to,
        works_name=event.works.name,
        works_kind=event.works.kind,
        price_yen=event.works.price_yen,
        term_from=event.works.term_from,
        term_to=event.works.term_to,
        contract_date=event.works.contract_date,
        deposit_bank=applied.deposit_bank,
        clause=surety.clauses.of(applied.product),
        guarantor=Guarantor(
            name=surety.name, address=surety.address, officer_title=officer.title, officer_name=officer.name
        ),
        handling_office=HandlingOffice(name=branch.name, telephone=branch.telephone, fax=branch.fax),
        notes=surety.notes,
        specimen=surety.specimen,
    )
