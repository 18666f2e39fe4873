"""How secret parts travel: personal data under an application's data key, keys under a reader's public key."""

from uuid import UUID

from schemas.event import Base64, Code, Document, Sha256


class SealedContact(Document):
    """Contact data under AES-256-GCM: readers of `data-keys.v1` can open it, and nobody once the key is shredded."""

    data_key_id: UUID
    nonce: Base64
    ciphertext: Base64


class Contact(Document):
    """What `SealedContact` holds when opened (連絡先, C2/C3, D, E). Never part of an event in the clear."""

    mail_address: str | None = None
    department: str | None = None
    title: str | None = None
    person: str | None = None
    telephone: str | None = None
    message: str | None = None


class SealedText(Document):
    """What people write to each other, under the data key of their application and bound to the message's id."""

    data_key_id: UUID
    nonce: Base64
    ciphertext: Base64


class SealedKey(Document):
    """An authentication key (認証キー) as it travels: a digest to compare and a sealed copy for one reader."""

    #: hex of HMAC-SHA256(pepper, contract number ‖ key)
    digest: Sha256
    pepper_id: Code
    #: HPKE to `sealed_to`, bound to contract number and certificate id.
    sealed: Base64
    sealed_to: Code
