"""views.v1, published by the registry: successful views by purchasers."""

from uuid import UUID

from schemas.event import AwareDatetime, Code, ContractNumber, Event, Version


class CertificateViewed(Event):
    """A purchaser opened a certificate with number and key."""

    key_field = "contract_number"
    identity_fields = ("view_id",)
    time_field = "viewed_at"

    view_id: UUID
    certificate_id: UUID
    contract_number: ContractNumber
    version: Version
    application_id: UUID
    purchaser_id: Code
    viewed_by: UUID
    viewed_at: AwareDatetime
