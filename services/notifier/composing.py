"""What does a letter look like? A folder per wording family and letter: `subject.txt`, `body.txt`, `body.html`."""

import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from email.errors import HeaderParseError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Final
from uuid import UUID

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template, select_autoescape

from chassis.clock import JST
from reference import codes
from reference.model import Branch, Surety
from schemas.sealed import Contact
from services.notifier import domain

LETTERS: Final = Path(__file__).parent / "letters"
#: What people wrote is cut here: a letter's line must not be as long as somebody's patience.
LONGEST: Final = 200

#: Why a letter was given up, in plain words: to the surety's office, which does not know mail servers.
REASONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "refused": (
            "メールサーバーに受け取りを拒否されました。宛先のメールアドレスに誤りがあるか、使われていない可能性があります。"
        ),
        "expired": "送信を繰り返しましたが、期限までにメールサーバーに受け付けられませんでした。",
        "no_address": "お申込みに、送信できるメールアドレスがありませんでした。",
        "unreadable": "お申込みの連絡先を、システムで読み取ることができませんでした。",
        "shredded": "お申込みの連絡先が、すでに消去されています。",
    }
)
SOME_REASON: Final = "メールを送信することができませんでした。"

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

    #: `completion`, `returned`, `viewed` or `undeliverable`
    letter: str
    surety: Surety
    branch: Branch
    contractor_name: str
    works_name: str
    application_id: UUID
    #: Of the certificate, or those that were returned; none where what happened does not say.
    products: tuple[str, ...]
    #: None where the letter is about the application as a whole.
    contract_number: str | None
    #: When it was registered, returned, first viewed or given up.
    happened_at: datetime
    #: The contractor's page about it.
    page: str
    #: Whom it goes to. Of a letter to the surety, an address and no person.
    contact: Contact
    message_id: str
    correlation_id: str
    #: Of a letter to the surety: which letter to the contractor was given up, and why.
    given_up: str | None = None
    given_up_reason: str | None = None


def recipient(contact: Contact) -> Address:
    """The address as a mail header and SMTP take it: ASCII, a domain in other letters by its IDNA name."""
    written = (contact.mail_address or "").strip()
    local, at, domain = written.rpartition("@")
    try:
        address = Address(addr_spec=f"{local}{at}{domain.encode('idna').decode()}")
        address.addr_spec.encode("ascii")
    # The last two are how the parser itself stumbles, the very last over `a@[`.
    except (HeaderParseError, ValueError, IndexError, AttributeError):
        raise NoAddress from None
    if not address.username or not address.domain or address.addr_spec != one_line([address.addr_spec], longest=None):
        raise NoAddress
    # A long one in quotes is folded without them, and then reads as another address, or as several.
    if address.addr_spec.startswith('"'):
        raise NoAddress
    return address


def compose(facts: Facts, *, now: datetime) -> EmailMessage:
    """The letter, ready for SMTP. Raises `NoAddress`."""
    to = recipient(facts.contact)
    contact = facts.contact
    values: dict[str, object] = {
        "surety": facts.surety,
        "branch": facts.branch,
        "contractor_name": one_line([facts.contractor_name]),
        "person": one_line([contact.department, contact.title, contact.person]) if contact.person else "",
        "works_name": one_line([facts.works_name]),
        "application_id": facts.application_id,
        "product_names": "、".join(codes.PRODUCTS[product].full for product in facts.products),
        "contract_number": facts.contract_number,
        # To the minute, in Japan, as 電子保証発行日時 (HIS-2).
        "happened_at": facts.happened_at.astimezone(JST).strftime("%Y/%m/%d %H:%M"),
        "page": facts.page,
    }
    folder = f"{facts.surety.family}/{facts.letter}"
    if facts.given_up is not None:
        values["given_up_title"] = _title(f"{facts.surety.family}/{facts.given_up}", values)
        values["given_up_reason"] = REASONS.get(facts.given_up_reason or "", SOME_REASON)
    values["title"] = _title(folder, values)
    message = EmailMessage(policy=SMTP)
    message["Date"] = format_datetime(now.astimezone(JST))
    message["Message-ID"] = facts.message_id
    message["From"] = Address(one_line([facts.surety.portal_name]), addr_spec=facts.surety.mail_from)
    message["To"] = to
    message["Subject"] = values["title"]
    message["Auto-Submitted"] = "auto-generated"
    message["List-Id"] = domain.list_id(facts.letter, surety_id=facts.surety.id, mail_from=facts.surety.mail_from)
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


def one_line(parts: Iterable[str | None], *, longest: int | None = LONGEST) -> str:
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
    return " ".join(word for word in shown.split(" ") if word)[:longest]


def _title(folder: str, values: Mapping[str, object]) -> str:
    return one_line([_template(f"{folder}/subject.txt").render(values)])


@cache
def _template(name: str) -> Template:
    return _TEMPLATES.get_template(name)
