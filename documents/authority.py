"""Where do signing certificates come from, where no public authority gives one?

A local authority of one's own, made once with a deployment's other secrets. It says who signed to those who were given
its certificate, and to nobody else: readers of PDF will call it unknown.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import NameOID

#: id-kp-documentSigning, RFC 9336.
DOCUMENT_SIGNING: Final = x509.ObjectIdentifier("1.3.6.1.5.5.7.3.36")


@dataclass(frozen=True)
class KeyAndCertificate:
    """A private key on P-256 with the certificate about it, both PEM."""

    #: PKCS#8, not encrypted.
    key_pem: bytes = field(repr=False)
    certificate_pem: bytes


def make_authority(
    *, common_name: str, organization: str, country: str = "JP", valid_from: datetime, valid_until: datetime
) -> KeyAndCertificate:
    """A new authority that may sign certificates of persons and services, but of no further authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name(common_name, organization, country)
    public = key.public_key()
    certificate = (
        _builder(name, name, public, valid_from, valid_until)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(key_usage(key_cert_sign=True, crl_sign=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(public), critical=False)
        .sign(key, hashes.SHA256())
    )
    return _as_pem(key, certificate)


def make_signing_certificate(
    authority: KeyAndCertificate,
    *,
    common_name: str,
    organization: str,
    country: str = "JP",
    valid_from: datetime,
    valid_until: datetime,
) -> KeyAndCertificate:
    """A new key for signing documents, certified by the authority. The chain to sign with is this certificate, then the
    authority's.
    """
    return certify(
        authority,
        _name(common_name, organization, country),
        usage=key_usage(digital_signature=True, content_commitment=True),
        extensions=[x509.ExtendedKeyUsage([DOCUMENT_SIGNING])],
        valid_from=valid_from,
        valid_until=valid_until,
    )


def certify(
    authority: KeyAndCertificate,
    subject: x509.Name,
    *,
    usage: x509.KeyUsage,
    extensions: Sequence[x509.ExtensionType],
    valid_from: datetime,
    valid_until: datetime,
) -> KeyAndCertificate:
    """A new key that may certify no other, with a certificate of the authority about it.

    What it may do is critical; the further `extensions` are not.
    """
    authority_key = load_pem_private_key(authority.key_pem, password=None)
    if not isinstance(authority_key, ec.EllipticCurvePrivateKey):
        raise TypeError("the authority's key is not one of ours")
    issuer = x509.load_pem_x509_certificate(authority.certificate_pem)
    issuer_id = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    key = ec.generate_private_key(ec.SECP256R1())
    public = key.public_key()
    builder = (
        _builder(subject, issuer.subject, public, valid_from, valid_until)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
    )
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    certificate = (
        builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer_id), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    return _as_pem(key, certificate)


def _name(common_name: str, organization: str, country: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, country),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    public: ec.EllipticCurvePublicKey,
    valid_from: datetime,
    valid_until: datetime,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(valid_from)
        .not_valid_after(valid_until)
    )


def key_usage(
    *,
    digital_signature: bool = False,
    content_commitment: bool = False,
    key_cert_sign: bool = False,
    crl_sign: bool = False,
) -> x509.KeyUsage:
    """What a key may do; nothing unless named. `content_commitment` is nonRepudiation by its newer name."""
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=content_commitment,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        encipher_only=False,
        decipher_only=False,
    )


def _as_pem(key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> KeyAndCertificate:
    return KeyAndCertificate(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), certificate.public_bytes(Encoding.PEM)
    )
