"""保証証書: the certificate on paper, for the contractor's and the purchaser's own files."""

from dataclasses import asdict
from datetime import datetime

from documents.certificate_view import certificate_view
from documents.rendering import draw
from schemas.certificates import CertificateContent


def certificate_pdf(content: CertificateContent, *, registered_at: datetime) -> bytes:
    """The certificate on one A4 page, marked as not the one to hand in (SUB-9, CERT-10).

    Same content and moment, same bytes. Raises `CharacterNotPrintable` and `DoesNotFitOnePage`.
    """
    view = certificate_view(content, registered_at=registered_at)
    return draw(
        "certificate",
        asdict(view),
        title=f"{content.title} {content.contract_number}",
        author=content.guarantor.name,
        specimen=content.specimen,
        at=registered_at,
    )


def certificate_file_name(content: CertificateContent) -> str:
    """保証証書_31073-00001X.pdf; a change adds its number."""
    change = f"_変更{content.change_number}" if content.change_number else ""
    return f"保証証書_{content.contract_number}{change}.pdf"
