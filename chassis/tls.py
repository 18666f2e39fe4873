"""Whom do we believe to be who they say they are? Who shows a certificate of an authority in a file of ours."""

import ssl
from pathlib import Path


class CertificateUnusable(Exception):
    """A file of certificates is not there, or holds none. One sentence says which and why."""


def trusting(ca_file: Path | None) -> ssl.SSLContext:
    """For a client: the other side needs a certificate for the name it is called by, from one of these authorities.

    Without a file, from one of those that the system trusts. Raises `CertificateUnusable`.
    """
    if ca_file is None:
        return ssl.create_default_context()
    try:
        return ssl.create_default_context(cafile=str(ca_file))
    except ssl.SSLError:
        raise CertificateUnusable(f"{ca_file} holds no certificate of an authority in PEM.") from None
    except OSError as error:
        raise _unreadable(ca_file, error) from None


def showing(certificate_file: Path) -> ssl.SSLContext:
    """For a server: what it shows, and the key to it, both in one file. Raises `CertificateUnusable`."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(certificate_file)
    except ssl.SSLError:
        raise CertificateUnusable(f"{certificate_file} holds no key with its certificate in PEM.") from None
    except OSError as error:
        raise _unreadable(certificate_file, error) from None
    return context


def why_distrusted(error: BaseException) -> str | None:
    """Why another's certificate was refused, if that is what went wrong."""
    return error.verify_message if isinstance(error, ssl.SSLCertVerificationError) else None


def distrust(error: BaseException) -> dict[str, str]:
    """The same, as a field of a line in a log."""
    why = why_distrusted(error)
    return {} if why is None else {"certificate": why}


def good_until(certificate_file: Path) -> float:
    """The last second, since the epoch, of what a server shows."""
    from cryptography import x509  # noqa: PLC0415 - commands that show nothing shall not pay for it

    return x509.load_pem_x509_certificate(certificate_file.read_bytes()).not_valid_after_utc.timestamp()


def _unreadable(file: Path, error: OSError) -> CertificateUnusable:
    return CertificateUnusable(f"The certificates in {file} can't be read: {error.strerror}.")
