"""The certificate as a part of a page, the same for the contractor's and the purchaser's (CERT-1).

A page writes `{% include "certificate.html" %}` with `certificate` set to a `CertificateView`, and links the
style sheet. Class names only: it holds under a strict content security policy.
"""

from functools import cache
from pathlib import Path
from typing import Final

from jinja2 import BaseLoader, Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from documents.certificate_view import CertificateView

_HERE: Final = Path(__file__).parent
#: Holds `certificate.css`, for a site's static files.
STATIC: Final = _HERE / "static"


def loader() -> BaseLoader:
    """Finds `certificate.html`, for a service's own environment: `ChoiceLoader([…, documents.html.loader()])`."""
    return FileSystemLoader(_HERE)


def certificate_html(certificate: CertificateView) -> Markup:
    """The part by itself, for pages without an environment of their own."""
    return Markup(_environment().get_template("certificate.html").render(certificate=certificate))  # noqa: S704 - escaped


@cache
def _environment() -> Environment:
    return Environment(
        loader=loader(), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
