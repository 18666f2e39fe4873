"""A letter's facts, complete and plain; a test changes one of them."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from reference.reader import Reference
from schemas.sealed import Contact
from services.notifier import domain
from services.notifier.composing import Facts

CERTIFICATE = UUID("0191f0a0-0000-7000-8000-000000000001")
APPLICATION = UUID("0191f0a0-0000-7000-8000-000000000003")
SURETIES = {"net-desk": ("toto", "tochigi"), "e-net": ("nankai", "okinawa")}
NUMBER = "10226-00001M"
CONTRACTOR_URL = "https://portal.akashi.example"
#: What differs from letter to letter: products, contract number, and what a letter to the surety tells of.
OF_LETTER: dict[str, dict[str, Any]] = {
    domain.COMPLETION: {"products": ("advance_payment",), "contract_number": NUMBER},
    domain.RETURNED: {"products": ("advance_payment", "performance"), "contract_number": None},
    domain.VIEWED: {"products": (), "contract_number": NUMBER},
    domain.UNDELIVERABLE: {
        "products": (),
        "contract_number": NUMBER,
        "contact": Contact(mail_address="mail-kanri@hosho.example"),
        "given_up": domain.COMPLETION,
        "given_up_reason": "refused",
    },
}

FactsBuilder = Callable[..., Facts]


@pytest.fixture
def facts(reference: Reference) -> FactsBuilder:
    """Facts of a letter of one family, with some of them changed."""

    def build(family: str = "net-desk", letter: str = domain.COMPLETION, **changed: Any) -> Facts:
        surety_id, branch_id = SURETIES[family]
        surety = reference.surety(surety_id)
        given = {**OF_LETTER[letter], **changed}
        named = domain.undeliverable(given["given_up"]) if letter == domain.UNDELIVERABLE else letter
        about_id = APPLICATION if given["contract_number"] is None else CERTIFICATE
        plain = Facts(
            letter=letter,
            surety=surety,
            branch=surety.branch(branch_id),
            contractor_name="見本建設株式会社",
            works_name="市道1号線舗装工事",
            application_id=APPLICATION,
            products=(),
            contract_number=None,
            happened_at=datetime(2026, 3, 31, 15, 4, 59, tzinfo=UTC),
            page=domain.page(
                CONTRACTOR_URL,
                surety_id=surety_id,
                application_id=APPLICATION,
                contract_number=given["contract_number"],
            ),
            contact=Contact(
                mail_address="tanto@kensetsu.example", department="工務部", title="課長", person="見本 太郎"
            ),
            message_id=domain.message_id(about_id, named, mail_from=surety.mail_from),
            correlation_id="0191f0a0-cafe-7000-8000-000000000002",
        )
        return replace(plain, **given)

    return build
