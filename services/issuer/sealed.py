"""What only the desk can read: contact and messages, sealed under an application's data key."""

from typing import Final
from uuid import UUID

import structlog

from chassis import sealing

log = structlog.get_logger()

READER: Final = "issuer"


def unwrap(application_id: UUID, data_key_id: UUID, wrapped: bytes, private_key: bytes) -> sealing.DataKey:
    """The data key of an application. Raises `CannotOpen` when it was not wrapped for us."""
    info = sealing.wrapping_info(application_id, READER)
    return sealing.DataKey(data_key_id, sealing.open_with(private_key, wrapped, info=info))


def open_text(data_key: sealing.DataKey, nonce: bytes, ciphertext: bytes, message_id: UUID) -> str | None:
    """A message's text; None for one that this key does not open, so that it hides none of the others."""
    try:
        return data_key.open(nonce, ciphertext, about=message_id).decode()
    except (sealing.CannotOpen, UnicodeDecodeError):
        log.warning("message.cannot_be_opened", message_id=str(message_id))
        return None
