"""How a certificate gets its number and its key, and what leaves of the key: a digest and a sealed copy."""

import uuid
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from uuid_utils.compat import uuid8

from chassis import sealing
from reference.model import Surety
from schemas import authentication_key, contract_number
from schemas.sealed import SealedKey

CERTIFICATE_IDS: Final = uuid.uuid5(uuid.NAMESPACE_URL, "urn:akashi:certificate")


class NumbersExhausted(Exception):
    """A branch has used up its blocks of the year."""


def certificate_id(application_id: UUID, product: str, version: int) -> UUID:
    """The same certificate always has the same id: a UUIDv8 (RFC 9562, 5.8), which begins with the time in its
    application's id, so that ids ascend with time, and goes on with a hash of what it is of.
    """
    hashed = uuid.uuid5(CERTIFICATE_IDS, f"{application_id}|{product}|{version}").int
    return uuid8(application_id.int >> 80, hashed >> 64 & 0xFFF, hashed % 2**62)


def number_at(surety: Surety, branch_id: str, year: int, ordinal: int) -> str:
    """The `ordinal`-th number (from 1) of a branch's year: 99,999 of a block, then the next block (NUM-5)."""
    blocks = surety.blocks(branch_id, year)
    block, serial = divmod(ordinal - 1, contract_number.SERIALS_PER_BLOCK)
    if block >= len(blocks):
        raise NumbersExhausted(f"{surety.id} {branch_id} {year}")
    return contract_number.compose(blocks[block], serial + 1)


@dataclass(frozen=True)
class KeyMint:
    """Draws authentication keys. A key exists in the clear only inside `mint`."""

    pepper: bytes = field(repr=False)
    #: Intake's public key: the one reader that can open a key again, for the contractor.
    intake_public_key: bytes

    def recipient(self) -> sealing.Recipient:
        """Intake, for all that one transaction mints."""
        return sealing.Recipient(self.intake_public_key)

    def mint(self, number: str, certificate: UUID, *, recipient: sealing.Recipient) -> SealedKey:
        key = authentication_key.draw()
        sealed = recipient.seal(key.encode(), info=authentication_key.sealing_info(number, certificate))
        return SealedKey(
            digest=authentication_key.digest(self.pepper, number, key),
            pepper_id=authentication_key.secret_id(self.pepper),
            sealed=sealing.b64(sealed),
            sealed_to=authentication_key.secret_id(recipient.public_key),
        )
