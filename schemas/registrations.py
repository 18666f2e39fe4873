"""registrations.v1, published by the registry: when a certificate arrived where the purchaser sees it."""

from typing import Annotated
from uuid import UUID

from pydantic import Field

from schemas.event import AwareDatetime, Base64, ChangeNumber, Code, ContractNumber, Event, Sha256, Version


class CertificateRegistered(Event):
    """The certificate can be viewed from `registered_at` on: 電子保証発行日時 (HIS-2)."""

    key_field = "contract_number"
    identity_fields = ("certificate_id",)
    time_field = "registered_at"

    certificate_id: UUID
    contract_number: ContractNumber
    version: Version
    change_number: ChangeNumber
    application_id: UUID
    product: Code
    surety_id: Code
    purchaser_id: Code
    content_sha256: Sha256
    registered_at: AwareDatetime
    #: Place of the certificate in the transparency log; its registration is the next leaf. Absent before there was one.
    leaf_index: Annotated[int, Field(ge=0)] | None = None
    #: 32 random bytes that both leaves' commitments are salted from.
    salt: Base64 | None = None
