"""A letter's facts, complete and plain; a test changes one of them."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from reference import reader
from schemas.sealed import Contact
from services.notifier import domain
from services.notifier.composing import Facts

CERTIFICATE = UUID("0191f0a0-0000-7000-8000-000000000001")
SURETIES = {"net-desk": ("toto", "tochigi"), "e-net": ("nankai", "okinawa")}

FactsBuilder = Callable[..., Facts]


@pytest.fixture
def facts() -> FactsBuilder:
    """Facts of a letter of one family, with some of them changed."""

    def build(family: str = "net-desk", **changed: Any) -> Facts:
        surety_id, branch_id = SURETIES[family]
        surety = reader.load().surety(surety_id)
        plain = Facts(
            letter=domain.COMPLETION,
            surety=surety,
            branch=surety.branch(branch_id),
            contractor_name="見本建設株式会社",
            works_name="市道1号線舗装工事",
            product="advance_payment",
            contract_number="10226-00001M",
            registered_at=datetime(2026, 3, 31, 15, 4, 59, tzinfo=UTC),
            contact=Contact(
                mail_address="tanto@kensetsu.example", department="工務部", title="課長", person="見本 太郎"
            ),
            message_id=domain.message_id(CERTIFICATE, domain.COMPLETION, mail_from=surety.mail_from),
            correlation_id="0191f0a0-cafe-7000-8000-000000000002",
        )
        return replace(plain, **changed)

    return build
