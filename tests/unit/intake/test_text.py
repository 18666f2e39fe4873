"""FORM-6 and FORM-14: which characters a text may hold."""

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from services.intake import domain
from services.intake.handlers import FORM
from tests.support.builders import an_application_form


def found(reference, **changes):
    return domain.check(FORM.validate_python(an_application_form(**changes), strict=False), reference)


@pytest.mark.parametrize(
    "bank", ["○○銀行　××支店", "髙﨑銀行　𠮷田支店", "ＡＢＣ銀行　１２３支店", "カタカナ銀行　ー〜支店", "△▲※銀行"]
)
def test_full_width_and_ambiguous_characters_pass(bank, reference):
    assert found(reference, products__advance_payment__deposit_bank=bank) == []


@pytest.mark.parametrize(
    ("bank", "named"),
    [
        ("○○銀行 ××支店", "半角スペース"),
        ("ﾀｶｻｷ銀行", "「ﾀ」"),
        ("○○銀行ABC", "「A」"),
        ("○○銀行　1番支店", "「1」"),
        ("○○銀行･支店", "「･」"),
    ],
)
def test_the_first_half_width_character_is_named(bank, named, reference):
    (fault,) = found(reference, products__advance_payment__deposit_bank=bank)

    assert (fault.field, fault.rule) == ("products.advance_payment.deposit_bank", "FORM-6")
    assert named in fault.message_ja


@given(st.text())
@example("○")
@example(" ")
@example("ｶ")
def test_full_width_is_a_question_of_each_character_alone(text):
    narrow = [char for char in text if unicodedata.east_asian_width(char) in ("Na", "H")]

    assert domain.not_full_width(text) == (narrow[0] if narrow else None)


@pytest.mark.parametrize("name", ["髙﨑橋架替工事", "𠮷田地区舗装", "①号線㈱ｶﾅ abc", "葛\U000e0100城"])
def test_whatever_can_be_printed_may_stand_in_a_name(name, reference):
    assert found(reference, works__name=name) == []


@pytest.mark.parametrize(
    ("char", "code"),
    [
        ("\x00", "U+0000"),
        ("\x0b", "U+000B"),
        ("\x7f", "U+007F"),
        ("\x85", "U+0085"),
        ("\u200b", "U+200B"),
        ("\u202e", "U+202E"),
        ("\ufeff", "U+FEFF"),
        ("\ue000", "U+E000"),
        ("\U000f0000", "U+F0000"),
        ("\u0378", "U+0378"),
        ("\ufffe", "U+FFFE"),
    ],
    ids=lambda value: f"U+{ord(value):04X}" if len(value) == 1 else "",
)
@pytest.mark.parametrize(
    "field",
    [
        "works__name",
        "works__jv_name",
        "products__advance_payment__fee_bill_to",
        "contact__department",
        "contact__title",
        "contact__person",
        "contact__telephone",
        "message",
    ],
)
def test_what_cannot_be_printed_is_refused_by_its_code_point(field, char, code, reference):
    (fault,) = found(reference, **{field: f"あ{char}い"})

    assert fault.field == field.replace("__", ".")
    assert code in fault.message_ja
    assert char not in fault.message_ja


def test_one_line_has_no_line_break(reference):
    (fault,) = found(reference, works__name="一行目\n二行目")

    assert "U+000A" in fault.message_ja


def test_a_message_may_have_lines(reference):
    assert found(reference, message="一行目\r\n\t二行目\n") == []


@pytest.mark.parametrize(
    ("field", "limit"),
    [
        ("works__name", 200),
        ("works__jv_name", 200),
        ("products__advance_payment__fee_bill_to", 200),
        ("products__advance_payment__deposit_bank", 200),
        ("contact__person", 200),
        ("contact__telephone", 30),
        ("message", 2000),
    ],
)
def test_a_text_may_be_as_long_as_its_limit_and_no_longer(field, limit, reference):
    assert found(reference, **{field: "𠮷" * limit}) == []
    assert [fault.field for fault in found(reference, **{field: "𠮷" * (limit + 1)})] == [field.replace("__", ".")]


def test_a_name_typed_in_another_width_is_the_same_works():
    form = FORM.validate_python(an_application_form(works__name="ＡＢＣ橋　ｶﾞ"), strict=False)
    again = FORM.validate_python(an_application_form(works__name="ABC 橋ガ"), strict=False)

    assert domain.works_key("takasaki", form.works) == domain.works_key("takasaki", again.works)


@pytest.mark.parametrize(
    ("field", "value"),
    [("works__name", "別の工事"), ("works__purchaser_id", "kanuma"), ("works__contract_date", "2026-10-02")],
)
def test_other_works_are_other_works(field, value):
    form = FORM.validate_python(an_application_form(works__name="橋"), strict=False)
    other = FORM.validate_python(an_application_form(**{"works__name": "橋", field: value}), strict=False)

    assert domain.works_key("takasaki", form.works) != domain.works_key("takasaki", other.works)


def test_the_same_works_of_another_contractor_are_other_works():
    form = FORM.validate_python(an_application_form(), strict=False)

    assert domain.works_key("takasaki", form.works) != domain.works_key("takasaki-2", form.works)


def test_a_character_that_no_document_can_print_is_refused_by_name(reference):
    (fault,) = found(reference, works__name="見本橋架替工事😀")

    assert fault.field == "works.name"
    assert "「😀」" in fault.message_ja
