"""What do our documents cost beyond the libraries that draw and sign them?"""

import asyncio
import io
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import typst
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.sign import fields, signers

from documents import rendering
from documents.authority import make_authority, make_signing_certificate
from documents.certificate import certificate_pdf
from documents.certificate_view import certificate_view
from documents.era import JST
from documents.signing import LocalSigner
from tests.bench.report import Figure
from tests.bench.rounds import Wrong
from tests.support.builders import a_certificate

Work = Callable[[], None]
AT: Final = datetime(2026, 11, 20, 3, 0, tzinfo=UTC)


async def drawing_and_signing(count: int, rounds: int) -> Sequence[Figure]:
    """Certificates drawn, and drawn ones signed, a second: one after the other, on one core."""
    content = a_certificate().content
    values = json.dumps(
        {
            **asdict(certificate_view(content, registered_at=AT)),
            "document": {"title": content.title, "author": content.guarantor.name, "specimen": True},
            "scale": 1.0,
        }
    )
    fonts = typst.Fonts(
        include_system_fonts=False, include_embedded_fonts=False, font_paths=[rendering._HERE / "fonts"]
    )

    def drawn_by_typst() -> None:
        folder = rendering._TEMPLATES
        compiler = typst.Compiler(folder / "certificate.typ", root=folder, font_paths=fonts, ignore_system_fonts=True)
        compiler.compile(
            format="pdf",
            sys_inputs={"values": values},
            pdf_standards=["a-2u", "ua-1"],
            timestamp=AT.astimezone(JST).replace(microsecond=0),
        )

    def drawn_by_us() -> None:
        certificate_pdf(content, registered_at=AT)

    pdf = certificate_pdf(content, registered_at=AT)
    own, plain = _signers()

    def signed_by_pyhanko() -> None:
        signers.sign_pdf(
            IncrementalPdfFileWriter(io.BytesIO(pdf + b"\n")),
            signers.PdfSignatureMetadata(
                field_name="Signature", md_algorithm="sha256", subfilter=fields.SigSeedSubFilter.PADES
            ),
            signer=plain,
            new_field_spec=fields.SigFieldSpec("Signature"),
        )

    def signed_by_us() -> None:
        asyncio.run(own.sign(pdf, reason="発行", at=AT))

    drawn = await asyncio.to_thread(_rates, drawn_by_us, drawn_by_typst, count, rounds)
    signed = await asyncio.to_thread(_rates, signed_by_us, signed_by_pyhanko, count, rounds)
    return [
        # "Within 1.2 × the library's own cost", as a rate.
        Figure("certificates drawn/s", drawn[0], "typst", drawn[1], "≥ 0.83"),
        Figure("PDFs signed/s", signed[0], "pyHanko", signed[1], "≥ 0.83"),
    ]


def _signers() -> tuple[LocalSigner, signers.SimpleSigner]:
    """Ours and pyHanko's own, with the same key."""
    first, last = AT - timedelta(days=1), AT + timedelta(days=3650)
    authority = make_authority(common_name="見本認証局", organization="見本", valid_from=first, valid_until=last)
    signer = make_signing_certificate(
        authority, common_name="見本", organization="見本", valid_from=first, valid_until=last
    )
    ours = LocalSigner.from_pem(signer.key_pem, signer.certificate_pem + authority.certificate_pem)
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder, name) for name in ("key.pem", "own.pem", "authority.pem")]
        for file, pem in zip(files, (signer.key_pem, signer.certificate_pem, authority.certificate_pem), strict=True):
            file.write_bytes(pem)
        key, own, above = map(str, files)
        plain = signers.SimpleSigner.load(key, own, ca_chain_files=[above])
    if plain is None:
        raise Wrong("pyHanko does not take the key")
    return ours, plain


def _rates(ours: Work, theirs: Work, count: int, rounds: int) -> tuple[list[float], list[float]]:
    """So many calls of each, in turns: calls a second."""
    found: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        for side, rates in zip((ours, theirs), found, strict=True):
            side()
            began = time.monotonic()
            for _ in range(count):
                side()
            rates.append(count / (time.monotonic() - began))
    return found
