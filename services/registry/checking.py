"""What of a certificate that was issued is recorded, and does it contradict itself? Needs nothing but the event."""

import hashlib
from typing import Final, NamedTuple

from chassis.decoding import Refused
from schemas import contract_number
from schemas.certificates import CertificateIssued
from services.registry.domain import Certificate
from services.registry.log import documents
from transparency.commitments import canonical
from transparency.errors import DoesNotVerify

CONTENT_DOES_NOT_MATCH: Final = "content_does_not_match"


class Checked(NamedTuple):
    """What a certificate that does not contradict itself comes to."""

    certificate: Certificate
    #: The canonical document of its certificate leaf.
    leaf: bytes


def recorded_of(event: CertificateIssued) -> Certificate:
    """What is recorded of it."""
    return Certificate(
        event.certificate_id,
        event.contract_number,
        event.version,
        event.change_number,
        event.application_id,
        event.product,
        event.surety_id,
        event.purchaser_id,
        event.issued_at,
        event.content.canonical().decode(),
        event.content_sha256,
        event.authentication_key.digest,
        event.authentication_key.pepper_id,
    )


def check(event: CertificateIssued, recorded: Certificate) -> Checked:
    """What is recorded of an event; raises `Refused` for one that contradicts itself."""
    if hashlib.sha256(recorded.content.encode()).hexdigest() != event.content_sha256:
        raise Refused(CONTENT_DOES_NOT_MATCH)
    if event.content.contract_number != event.contract_number or event.content.version != event.version:
        raise Refused("content_is_of_another")
    if not contract_number.is_well_formed(event.contract_number):
        raise Refused("contract_number_is_wrong")
    try:
        return Checked(recorded, canonical(documents.of_issued(recorded)))
    except DoesNotVerify:
        raise Refused("cannot_be_a_leaf") from None
