import asyncio
import io
import subprocess
import sys
from datetime import datetime, timedelta

import pytest
from asn1crypto import pem
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.validation import async_validate_pdf_signature
from pyhanko_certvalidator import ValidationContext

from documents.authority import DOCUMENT_SIGNING, make_authority
from documents.signing import KeyDoesNotSign, LocalSigner
from tests.integration.documents.samples import AT, DOCUMENTS, a_signing_certificate, an_authority, read

LEAF = a_signing_certificate()
CHAIN = LEAF.certificate_pem + an_authority().certificate_pem


@pytest.fixture
async def signed():
    return await LocalSigner.from_pem(LEAF.key_pem, CHAIN).sign(DOCUMENTS["key_notice"](), reason="発行", at=AT)


async def checked(pdf: bytes, *, trusting: bytes = an_authority().certificate_pem):
    root = asn1_x509.Certificate.load(pem.unarmor(trusting)[2])
    context = ValidationContext(trust_roots=[root], allow_fetching=False, moment=AT)
    signature = PdfFileReader(io.BytesIO(pdf)).embedded_signatures[0]
    return await async_validate_pdf_signature(signature, signer_validation_context=context)


async def test_a_signed_document_is_valid_for_who_trusts_the_authority(signed):
    status = await checked(signed)

    assert status.intact
    assert status.valid
    assert status.trusted
    assert status.bottom_line
    assert status.coverage.name == "ENTIRE_FILE"
    assert status.signing_cert.subject.native["common_name"] == "東都建設業保証株式会社"


async def test_a_flipped_byte_anywhere_in_the_document_is_seen(signed):
    for place in (1000, len(DOCUMENTS["key_notice"]()) // 2, len(DOCUMENTS["key_notice"]()) - 2):
        flipped = bytearray(signed)
        flipped[place] ^= 1
        try:
            intact = (await checked(bytes(flipped))).intact
        except Exception:  # noqa: BLE001 - or it can't be read at all
            intact = False
        assert not intact


async def test_another_authority_does_not_trust_it(signed):
    other = make_authority(
        common_name="Other", organization="Other", valid_from=AT - timedelta(days=1), valid_until=AT + timedelta(days=9)
    )

    assert not (await checked(signed, trusting=other.certificate_pem)).trusted


async def test_signing_adds_to_the_end_and_changes_nothing(signed):
    assert signed.startswith(DOCUMENTS["key_notice"]())
    assert read(signed).metadata == read(DOCUMENTS["key_notice"]()).metadata


async def test_a_signature_is_pades_and_says_why_and_when(signed):
    signature = PdfFileReader(io.BytesIO(signed)).embedded_signatures[0]

    assert signature.sig_object["/SubFilter"] == "/ETSI.CAdES.detached"
    assert signature.sig_object["/Reason"] == "発行"
    assert signature.self_reported_timestamp == AT
    assert signature.sig_field["/Rect"] == [0, 0, 0, 0]
    assert signature.md_algorithm == "sha256"


async def test_one_signer_signs_for_many_at_once():
    signer = LocalSigner.from_pem(LEAF.key_pem, CHAIN)
    drawn = DOCUMENTS["receipt"]()

    together = await asyncio.gather(*(signer.sign(drawn, reason=str(each), at=AT) for each in range(8)))

    assert len(set(together)) == 8
    for pdf in together:
        assert (await checked(pdf)).bottom_line


async def test_the_moment_of_signing_needs_a_zone():
    with pytest.raises(ValueError, match="time zone"):
        await LocalSigner.from_pem(LEAF.key_pem, CHAIN).sign(b"", reason="", at=AT.replace(tzinfo=None))


@pytest.mark.parametrize(
    ("key_pem", "chain_pem"),
    [
        (an_authority().key_pem, CHAIN),
        (b"no key", CHAIN),
        (LEAF.key_pem, b"no certificate"),
        (
            rsa.generate_private_key(65537, 2048).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
            CHAIN,
        ),
        (
            ec.generate_private_key(ec.SECP384R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
            CHAIN,
        ),
    ],
    ids=["another's key", "no key", "no certificate", "RSA", "P-384"],
)
def test_a_key_that_does_not_fit_is_refused_at_once(key_pem, chain_pem):
    with pytest.raises(KeyDoesNotSign):
        LocalSigner.from_pem(key_pem, chain_pem)


def test_the_authority_may_certify_keys_and_no_further_authority():
    certificate = x509.load_pem_x509_certificate(an_authority().certificate_pem)
    usage = certificate.extensions.get_extension_for_class(x509.KeyUsage)

    assert certificate.extensions.get_extension_for_class(x509.BasicConstraints).value == x509.BasicConstraints(True, 0)
    assert usage.critical
    assert usage.value.key_cert_sign
    assert not usage.value.digital_signature


def test_the_signing_certificate_may_sign_documents_and_nothing_else():
    certificate = x509.load_pem_x509_certificate(LEAF.certificate_pem)
    authority = x509.load_pem_x509_certificate(an_authority().certificate_pem)
    said = certificate.extensions
    usage = said.get_extension_for_class(x509.KeyUsage).value

    certificate.verify_directly_issued_by(authority)
    assert usage.digital_signature
    assert usage.content_commitment
    assert not usage.key_cert_sign
    assert list(said.get_extension_for_class(x509.ExtendedKeyUsage).value) == [DOCUMENT_SIGNING]
    assert said.get_extension_for_class(x509.BasicConstraints).value == x509.BasicConstraints(False, None)
    assert (
        said.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
        == authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    )


def test_validity_is_as_told():
    assert x509.load_pem_x509_certificate(LEAF.certificate_pem).not_valid_after_utc == AT + timedelta(days=1000)
    assert isinstance(AT, datetime)


def test_private_keys_are_not_in_the_repr():
    assert b"PRIVATE".decode() not in repr(an_authority())


def test_documents_do_not_cost_the_import_of_pyhanko():
    program = (
        "import sys, documents.signing, documents.certificate, documents.key_notice, documents.html; "
        "print('pyhanko' in sys.modules)"
    )

    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert said.stdout == "False\n"
