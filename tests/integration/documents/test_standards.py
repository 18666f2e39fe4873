"""veraPDF's word on every document, before and after it is signed."""

from typing import Any

import pytest

from documents.signing import LocalSigner
from tests.integration.documents.samples import AT, DOCUMENTS, LONG, a_signing_certificate, an_authority
from tests.support import verapdf


@pytest.fixture(scope="module")
async def files(tmp_path_factory):
    """Every document in several states, plain and signed."""
    folder = tmp_path_factory.mktemp("documents")
    leaf = a_signing_certificate()
    signer = LocalSigner.from_pem(leaf.key_pem, leaf.certificate_pem + an_authority().certificate_pem)
    states: dict[str, dict[str, Any]] = {
        "": {},
        "-specimen": {"specimen": True},
        "-long": {"works_name": LONG + "𠮷 W" + "W" * 90},
    }
    made = []
    for name, draw in DOCUMENTS.items():
        for state, changes in states.items():
            pdf = draw(**changes)
            for form, content in (("plain", pdf), ("signed", await signer.sign(pdf, reason="発行", at=AT))):
                made.append(folder / f"{name}{state}-{form}.pdf")
                made[-1].write_bytes(content)
    return made


@pytest.mark.parametrize("flavour", ["2u", "ua1"])
async def test_every_document_keeps_the_standard_before_and_after_it_is_signed(files, flavour):
    verdicts = verapdf.verdicts(flavour, files)

    assert {name for name, verdict in verdicts.items() if verdict != "PASS"} == set()


async def test_the_checker_sees_a_document_that_does_not_keep_it(files, tmp_path):
    """The line break before a signature is what PDF/A asks for, and typst leaves out."""
    broken = tmp_path / "broken.pdf"
    broken.write_bytes(files[1].read_bytes().replace(b"%%EOF\n", b"%%EOF", 1))

    assert verapdf.verdicts("2u", [broken]) == {"broken.pdf": "FAIL"}
