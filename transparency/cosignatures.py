"""Cosignatures, C2SP tlog-cosignature v1: somebody saw this checkpoint at this time, and none that contradicts it."""

from typing import Final

from transparency.errors import Malformed
from transparency.signatures import SIGNATURE_BYTES, SignerKey
from transparency.strict import LARGEST

TIME_BYTES: Final = 8


def message(text: str, at: int) -> bytes:
    """What is signed: two lines, then the whole text of the checkpoint's note."""
    return f"cosignature/v1\ntime {at}\n{text}".encode()


def cosign(text: str, signer: SignerKey, at: int) -> bytes:
    """The `timestamped_signature` of a note's text; `at` is POSIX time in seconds and not 0 (tlog-witness)."""
    if not 0 < at <= LARGEST:
        raise Malformed(f"{at} is not the time of a cosignature")
    return at.to_bytes(TIME_BYTES) + signer.sign(message(text, at))


def split(blob: bytes) -> tuple[int, bytes]:
    """Time and Ed25519 signature of a `timestamped_signature`."""
    at = int.from_bytes(blob[:TIME_BYTES])
    if len(blob) != TIME_BYTES + SIGNATURE_BYTES or not 0 < at <= LARGEST:
        raise Malformed("not a timestamped signature")
    return at, blob[TIME_BYTES:]
