"""views.v1, published by the registry: successful views by purchasers."""

from typing import Annotated
from uuid import UUID

from pydantic import Field

from schemas.event import AwareDatetime, Base64, Code, ContractNumber, Event, Version


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
    #: Place in the transparency log; absent before there was one.
    leaf_index: Annotated[int, Field(ge=0)] | None = None
    #: 32 random bytes that its commitment is salted from.
    salt: Base64 | None = None
