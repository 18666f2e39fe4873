"""How a signature gets into a PDF, by pyHanko. Importing this takes 0.9 s; `documents.signing` does it when it must."""

import io
from datetime import datetime
from typing import Any, Final

from asn1crypto import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.sign import fields, signers
from pyhanko_certvalidator.registry import SimpleCertificateStore

from documents.era import JST

FIELD: Final = "AkashiSignature"
#: A DER-encoded ECDSA signature on P-256 is never longer.
_LONGEST_SIGNATURE: Final = 72


class HeldKey(signers.Signer):
    """A key that was parsed once. pyHanko's own signer parses and checks its key anew at each signature."""

    def __init__(self, key: ec.EllipticCurvePrivateKey, chain: list[bytes]) -> None:
        """The chain in DER, the key's own certificate first."""
        own, *above = (x509.Certificate.load(each) for each in chain)
        store = SimpleCertificateStore()  # type: ignore[no-untyped-call] # it has a py.typed, and not everything typed
        store.register_multiple(above)
        super().__init__(signing_cert=own, cert_registry=store, embed_roots=False)
        self._key = key

    async def async_sign_raw(self, data: bytes, digest_algorithm: str, dry_run: bool = False) -> bytes:
        if dry_run:
            return bytes(_LONGEST_SIGNATURE)
        if digest_algorithm != "sha256":
            raise ValueError(f"a digest of {digest_algorithm} was not agreed on")
        return self._key.sign(data, ec.ECDSA(hashes.SHA256()))


def sign(pdf: bytes, *, key: HeldKey, reason: str, at: datetime) -> bytes:
    """Append an invisible signature of that moment. The result is still PDF/A and PDF/UA if the PDF was."""
    if at.tzinfo is None:
        raise ValueError("a moment without a time zone")
    # PDF/A wants the update to begin on a line of its own, and typst ends its files without a line break.
    writer = _UntouchedMetadata(io.BytesIO(pdf + b"\n"))
    metadata = signers.PdfSignatureMetadata(
        field_name=FIELD, md_algorithm="sha256", subfilter=fields.SigSeedSubFilter.PADES, reason=reason
    )
    signer = _SignerAt(
        metadata,
        signer=key,
        new_field_spec=fields.SigFieldSpec(FIELD, readable_field_name="電子署名"),
        at=at.astimezone(JST),
    )
    signed: io.BytesIO = signer.sign_pdf(writer)
    return signed.getvalue()


class _SignerAt(signers.PdfSigner):
    """Signs at the moment it is told, where pyHanko's own asks the clock."""

    def __init__(self, *arguments: Any, at: datetime, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._at = at

    def init_signing_session(self, pdf_out: Any, existing_fields_only: bool = False) -> Any:
        session = super().init_signing_session(pdf_out, existing_fields_only)
        session.system_time = self._at
        return session


class _UntouchedMetadata(IncrementalPdfFileWriter):
    """Leaves title, author and dates as they were drawn: pyHanko would write its own clock's time into them."""

    def _update_meta(self) -> None:
        pass
