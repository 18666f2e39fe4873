"""Who may have an electronic certificate, for what, from which contract date on."""

from datetime import date

import pytest

from reference.codes import ADVANCE_PAYMENT, CONSIGNMENT, CONSTRUCTION, INTERIM_PAYMENT, PERFORMANCE, PRODUCTS
from reference.model import Ineligible
from reference.reader import Reference

LONG_AGO = date(2000, 1, 1)


def refusal(
    reference: Reference,
    purchaser: str,
    contract_date: date,
    works_kind: str = CONSTRUCTION,
    product: str = ADVANCE_PAYMENT,
) -> Ineligible | None:
    return reference.purchaser(purchaser).electronic_refusal(
        works_kind=works_kind, product=product, contract_date=contract_date
    )


@pytest.mark.parametrize(
    ("purchaser", "last_day_on_paper_only", "first_electronic_day"),
    [
        ("tochigi", date(2024, 3, 31), date(2024, 4, 1)),
        ("omitama", date(2024, 7, 31), date(2024, 8, 1)),
        ("yomitan", date(2026, 3, 31), date(2026, 4, 1)),
        ("mlit", date(2022, 4, 30), date(2022, 5, 1)),
    ],
)
def test_the_contract_date_must_not_lie_before_the_purchasers_start(
    reference: Reference, purchaser: str, last_day_on_paper_only: date, first_electronic_day: date
) -> None:
    refused = refusal(reference, purchaser, last_day_on_paper_only)

    assert refused is not None
    assert (refused.rule_id, refused.field) == ("EL-7", "contract_date")
    assert first_electronic_day.isoformat() in refused.message_en
    day = first_electronic_day
    assert f"{day.year}年{day.month}月{day.day}日以降" in refused.message_ja
    assert refusal(reference, purchaser, first_electronic_day) is None


@pytest.mark.parametrize("purchaser", ["nambu-aomori", "shirako", "ashikaga", "kanuma"])
def test_a_purchaser_without_a_printed_start_is_always_open(reference: Reference, purchaser: str) -> None:
    assert refusal(reference, purchaser, LONG_AGO) is None


def test_yomitan_takes_construction_only(reference: Reference) -> None:
    open_day = date(2026, 4, 1)

    refused = refusal(reference, "yomitan", open_day, works_kind=CONSIGNMENT)

    assert refused is not None
    assert (refused.rule_id, refused.field) == ("EL-2", "works_kind")
    assert "工事" in refused.message_ja
    assert refusal(reference, "yomitan", open_day, works_kind=CONSTRUCTION) is None


def test_everyone_else_takes_consigned_services_too(reference: Reference) -> None:
    for purchaser in reference.purchasers.keys() - {"yomitan"}:
        assert refusal(reference, purchaser, date(2026, 4, 1), works_kind=CONSIGNMENT) is None


@pytest.mark.parametrize("product", PRODUCTS)
def test_every_purchaser_takes_all_three_products(reference: Reference, product: str) -> None:
    for purchaser in reference.purchasers:
        assert refusal(reference, purchaser, date(2026, 4, 1), product=product) is None


def test_a_product_the_purchaser_does_not_name_is_refused(reference: Reference) -> None:
    tochigi = reference.purchaser("tochigi").model_copy(update={"products": (ADVANCE_PAYMENT, PERFORMANCE)})

    refused = tochigi.electronic_refusal(
        works_kind=CONSTRUCTION, product=INTERIM_PAYMENT, contract_date=date(2024, 4, 1)
    )

    assert refused is not None
    assert (refused.rule_id, refused.field) == ("EL-5", "product")
    assert "前払金保証・契約保証" in refused.message_ja


def test_an_unknown_code_is_refused_and_does_not_fail(reference: Reference) -> None:
    day = date(2026, 4, 1)

    unknown_product = refusal(reference, "tochigi", day, product="bid_bond")
    unknown_kind = refusal(reference, "tochigi", day, works_kind="purchase")

    assert unknown_product is not None
    assert unknown_product.rule_id == "EL-5"
    assert unknown_kind is not None
    assert unknown_kind.rule_id == "EL-2"
