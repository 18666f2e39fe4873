"""What a surety answers about a day, a branch or a product."""

from datetime import date
from decimal import Decimal

import pytest

from reference import codes
from reference.errors import NoNumberingBlocks, NoOfficerOn, UnknownBranch, UnknownProduct
from reference.model import fiscal_year
from reference.reader import Reference


@pytest.mark.parametrize(
    ("day", "year"),
    [
        (date(2026, 3, 31), 2025),
        (date(2026, 4, 1), 2026),
        (date(2026, 12, 31), 2026),
        (date(2027, 1, 1), 2026),
    ],
)
def test_the_fiscal_year_begins_on_the_first_of_april(day: date, year: int) -> None:
    assert fiscal_year(day) == year


@pytest.mark.parametrize(
    ("surety", "day", "name"),
    [
        ("toto", date(2024, 6, 27), "見本 一郎"),
        ("toto", date(2024, 6, 28), "見本 二郎"),
        ("toto", date(2026, 6, 25), "見本 二郎"),
        ("toto", date(2026, 6, 26), "見本 三郎"),
        ("toto", date(2040, 1, 1), "見本 三郎"),
        ("nankai", date(2025, 6, 26), "見本 花子"),
        ("nankai", date(2025, 6, 27), "見本 月子"),
    ],
)
def test_the_new_officer_signs_from_the_day_of_the_change(
    reference: Reference, surety: str, day: date, name: str
) -> None:
    assert reference.surety(surety).officer_on(day).name == name


def test_nobody_signs_before_the_first_officer(reference: Reference) -> None:
    with pytest.raises(NoOfficerOn) as refused:
        reference.surety("toto").officer_on(date(2000, 1, 1))

    assert (refused.value.surety_id, refused.value.day) == ("toto", date(2000, 1, 1))


def test_blocks_come_in_the_order_in_which_they_are_used_up(reference: Reference) -> None:
    assert reference.surety("toto").blocks("tochigi", 2026) == ("10226", "10276")


def test_a_year_without_blocks_is_said_and_not_empty(reference: Reference) -> None:
    with pytest.raises(NoNumberingBlocks) as missing:
        reference.surety("toto").blocks("tochigi", 2050)

    assert missing.value.fiscal_year == 2050


def test_an_unknown_branch_is_named(reference: Reference) -> None:
    for question in (
        lambda: reference.surety("toto").branch("okinawa"),
        lambda: reference.surety("toto").blocks("okinawa", 2026),
    ):
        with pytest.raises(UnknownBranch) as unknown:
            question()
        assert (unknown.value.surety_id, unknown.value.branch_id) == ("toto", "okinawa")


def test_a_branch_is_suggested_for_the_purchasers_it_handles(reference: Reference) -> None:
    toto = reference.surety("toto")

    suggested = toto.branch_handling("kanuma")

    assert suggested is not None
    assert suggested.name == "栃木支店"
    assert toto.branch_handling("yomitan") is None


def test_each_product_has_its_own_clause_and_ratio(reference: Reference) -> None:
    for surety in reference.sureties.values():
        for product, labels in codes.PRODUCTS.items():
            assert f"{labels.full}約款に基づき" in surety.clauses.of(product)
            assert surety.limits.ratio_percent(product) > 0
        assert surety.limits.ratio_percent(codes.ADVANCE_PAYMENT) == Decimal("40.0")


def test_an_unknown_product_has_neither_clause_nor_ratio(reference: Reference) -> None:
    toto = reference.surety("toto")

    with pytest.raises(UnknownProduct):
        toto.clauses.of("bid_bond")
    with pytest.raises(UnknownProduct):
        toto.limits.ratio_percent("bid_bond")


@pytest.mark.parametrize(
    ("surety", "family", "mail_rule", "mail_subject", "notice_title"),
    [
        (
            "toto",
            codes.NET_DESK,
            codes.OPT_IN,
            "電子保証（認証キー）発行完了のお知らせ",
            "電子保証にかかる「認証キー」のお知らせ",
        ),
        ("nankai", codes.E_NET, codes.ALWAYS, "電子証書・認証キー登録のお知らせ", "認証キー等のお知らせ"),
    ],
)
def test_each_family_has_its_own_mail_rule_and_words(
    *, reference: Reference, surety: str, family: str, mail_rule: str, mail_subject: str, notice_title: str
) -> None:
    profile = reference.surety(surety)

    assert (profile.family, profile.completion_mail) == (family, mail_rule)
    assert (profile.mail_subject, profile.key_notice_title) == (mail_subject, notice_title)


def test_one_surety_lets_one_person_decide_and_the_other_two(reference: Reference) -> None:
    assert reference.surety("toto").desk_approval == codes.SINGLE
    assert reference.surety("nankai").desk_approval == codes.FOUR_EYES


def test_one_surety_wants_to_know_of_mail_that_came_back(reference: Reference) -> None:
    assert reference.surety("toto").undeliverable_mail_to == "mail-kanri@toto-hosho.example"
    assert reference.surety("nankai").undeliverable_mail_to is None
