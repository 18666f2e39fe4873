"""registrations.v1, published by the registry: when a certificate arrived where the purchaser sees it."""

from uuid import UUID

from schemas.event import AwareDatetime, Base64, Code, ContractNumber, Event, Sha256


class CertificateRegistered(Event):
    """The certificate can be viewed from `registered_at` on: 電子保証発行日時 (HIS-2)."""

    key_field = "contract_number"
    identity_fields = ("certificate_id",)
    time_field = "registered_at"

    certificate_id: UUID
    contract_number: ContractNumber
    version: int
    change_number: int
    application_id: UUID
    product: Code
    surety_id: Code
    purchaser_id: Code
    content_sha256: Sha256
    registered_at: AwareDatetime
    #: Place in the transparency log; absent until there is one.
    leaf_index: int | None = None
    salt: Base64 | None = None
