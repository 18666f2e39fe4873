"""What does a letter look like? A folder per wording family and letter: `subject.txt`, `body.txt`, `body.html`."""

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from email.errors import HeaderParseError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from functools import cache
from pathlib import Path
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template, select_autoescape

from chassis.clock import JST
from reference import codes
from reference.model import Branch, Surety
from schemas.sealed import Contact

LETTERS: Final = Path(__file__).parent / "letters"
#: What people wrote is cut here: a letter's line must not be as long as somebody's patience.
LONGEST: Final = 200

_TEMPLATES: Final = Environment(
    loader=FileSystemLoader(LETTERS),
    autoescape=select_autoescape(["html"]),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)


class NoAddress(Exception):
    """There is no mail address, or nothing that a mail could be sent to."""


@dataclass(frozen=True)
class Facts:
    """What a letter tells. There is no authentication key in it, and none in this service (KEY-7)."""

    letter: str
    surety: Surety
    branch: Branch
    contractor_name: str
    works_name: str
    product: str
    contract_number: str
    registered_at: datetime
    contact: Contact
    message_id: str
    correlation_id: str


def recipient(contact: Contact) -> Address:
    """The address as a mail header and SMTP take it: ASCII, a domain in other letters by its IDNA name."""
    written = (contact.mail_address or "").strip()
    local, at, domain = written.rpartition("@")
    try:
        address = Address(addr_spec=f"{local}{at}{domain.encode('idna').decode()}")
        address.addr_spec.encode("ascii")
    except (HeaderParseError, ValueError, IndexError):
        raise NoAddress from None
    if not address.username or not address.domain or address.addr_spec != one_line([address.addr_spec]):
        raise NoAddress
    return address


def compose(facts: Facts, *, now: datetime) -> EmailMessage:
    """The letter, ready for SMTP. Raises `NoAddress`."""
    to = recipient(facts.contact)
    contact = facts.contact
    values = {
        "surety": facts.surety,
        "branch": facts.branch,
        "contractor_name": one_line([facts.contractor_name]),
        "person": one_line([contact.department, contact.title, contact.person]) if contact.person else "",
        "works_name": one_line([facts.works_name]),
        "product_name": codes.PRODUCTS[facts.product].full,
        "contract_number": facts.contract_number,
        # 電子保証発行日時: to the minute, in Japan (HIS-2).
        "registered_at": facts.registered_at.astimezone(JST).strftime("%Y/%m/%d %H:%M"),
    }
    folder = f"{facts.surety.family}/{facts.letter}"
    message = EmailMessage(policy=SMTP)
    message["Date"] = format_datetime(now.astimezone(JST))
    message["Message-ID"] = facts.message_id
    message["From"] = Address(one_line([facts.surety.portal_name]), addr_spec=facts.surety.mail_from)
    message["To"] = to
    message["Subject"] = one_line([_template(f"{folder}/subject.txt").render(values)])
    message["Auto-Submitted"] = "auto-generated"
    message["X-Akashi-Correlation-Id"] = one_line([facts.correlation_id])
    # UTF-8: ISO-2022-JP cannot write 髙. Base64: no server has to understand 8 bits, no line is long.
    message.set_content(_template(f"{folder}/body.txt").render(values), cte="base64")
    message.add_alternative(_template(f"{folder}/body.html").render(values), subtype="html", cte="base64")
    message["Content-Language"] = "ja"
    return message


def as_sent(message: EmailMessage) -> bytes:
    """The letter's bytes for SMTP, with the Message-ID on one line: folded, which is legal, some servers and readers
    take the line break for a part of it.
    """
    return bytes(message).replace(b"\r\nMessage-ID:\r\n <", b"\r\nMessage-ID: <", 1)


def one_line(parts: Iterable[str | None]) -> str:
    """Words on one line. Breaks and control characters become spaces, so that nobody can write a header or a line of
    their own; characters that turn the direction of writing or cannot be seen are dropped.
    """
    text = " ".join(part for part in parts if part)
    shown = "".join(
        " " if unicodedata.category(c) in {"Cc", "Zl", "Zp"} else c
        for c in text
        if unicodedata.category(c) not in {"Cf", "Cs"}
    )
    # Only half-width spaces are joined: a full-width one in a name is meant.
    return " ".join(word for word in shown.split(" ") if word)[:LONGEST]


@cache
def _template(name: str) -> Template:
    return _TEMPLATES.get_template(name)
