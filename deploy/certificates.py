"""By what do the parts of a deployment know each other? By an authority of its own, and a certificate of each listener.

It vouches for nothing outside: who is given its certificate knows the parts of this deployment, and nobody else does.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from ipaddress import ip_address
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from documents.authority import KeyAndCertificate, certify, key_usage, make_authority

AUTHORITY_LASTS: Final = timedelta(days=3650)
CERTIFICATE_LASTS: Final = timedelta(days=365)
#: What has less than this before it is made anew at the next start: each leaves ten months.
RENEWED_BEFORE: Final = timedelta(days=305)
#: A clock that is behind shall not call a fresh certificate one of tomorrow.
_CLOCKS_DIFFER: Final = timedelta(days=1)
#: Where a health check asks, and where a stack on one machine listens.
_OWN_MACHINE: Final = ("localhost", "127.0.0.1")


def make_tls_authority(now: datetime) -> KeyAndCertificate:
    """A key that vouches for the parts of one deployment."""
    return make_authority(
        common_name="Akashi Local TLS CA",
        organization="Akashi",
        valid_from=now - _CLOCKS_DIFFER,
        valid_until=now + AUTHORITY_LASTS,
    )


def make_server_certificate(authority: KeyAndCertificate, names: Sequence[str], now: datetime) -> KeyAndCertificate:
    """A new key for whoever listens under these names, and on this machine."""
    issuer = x509.load_pem_x509_certificate(authority.certificate_pem)
    return certify(
        authority,
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])]),
        usage=key_usage(digital_signature=True),
        extensions=[x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), _alternative_names(names)],
        valid_from=now - _CLOCKS_DIFFER,
        valid_until=min(now + CERTIFICATE_LASTS, issuer.not_valid_after_utc),
    )


def is_still_good(shown: KeyAndCertificate, authority: KeyAndCertificate, names: Sequence[str], now: datetime) -> bool:
    """Whether a certificate is this authority's, for these names, and not near its end."""
    issuer = x509.load_pem_x509_certificate(authority.certificate_pem)
    try:
        certificate = x509.load_pem_x509_certificate(shown.certificate_pem)
        certificate.verify_directly_issued_by(issuer)
        held = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, InvalidSignature, x509.ExtensionNotFound):
        return False
    return held == _alternative_names(names) and certificate.not_valid_after_utc - now > RENEWED_BEFORE


def _alternative_names(names: Sequence[str]) -> x509.SubjectAlternativeName:
    return x509.SubjectAlternativeName([_general_name(name) for name in (*names, *_OWN_MACHINE)])


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)
