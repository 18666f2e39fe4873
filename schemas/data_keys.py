"""data-keys.v1, published by intake: each application's data key, wrapped for each reader. A tombstone shreds it."""

from uuid import UUID

from schemas.event import AwareDatetime, Base64, Code, Document, Event


class WrappedKey(Document):
    """The data key under HPKE to one reader, bound to the application."""

    reader: Code
    wrapped: Base64


class DataKeyWrapped(Event):
    """The key that opens one application's `SealedContact`."""

    key_field = "application_id"
    identity_fields = ("data_key_id",)
    time_field = "created_at"

    application_id: UUID
    data_key_id: UUID
    created_at: AwareDatetime
    wrapped_for: tuple[WrappedKey, ...]
