"""NUM-1 to NUM-7, KEY-2 to KEY-4: numbers and keys."""

import uuid
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from uuid_utils.compat import uuid8

from chassis.sealing import CannotOpen, open_with, unb64
from schemas import authentication_key, contract_number
from services.issuer.minting import KeyMint, NumbersExhausted, certificate_id, number_at

BLOCK = st.from_regex(r"[0-9]{5}", fullmatch=True)
SERIAL = st.integers(1, 99_999)


@pytest.fixture
def toto(reference):
    return reference.surety("toto")


@pytest.mark.parametrize(
    ("ordinal", "begins"),
    [(1, "10226-00001"), (99_999, "10226-99999"), (100_000, "10276-00001"), (199_998, "10276-99999")],
)
def test_a_full_block_rolls_over_to_the_next(ordinal, begins, toto):
    number = number_at(toto, "tochigi", 2026, ordinal)

    assert number[:-1] == begins
    assert contract_number.is_well_formed(number)


def test_beyond_the_last_block_there_is_no_number(toto):
    with pytest.raises(NumbersExhausted):
        number_at(toto, "tochigi", 2026, 199_999)


def test_each_branch_and_year_has_its_own_block(toto):
    assert number_at(toto, "tochigi", 2025, 1).startswith("10225-")
    assert number_at(toto, "ibaraki", 2026, 1).startswith("10326-")


@given(BLOCK, SERIAL)
def test_a_composed_number_is_well_formed(block, serial):
    number = contract_number.compose(block, serial)

    assert contract_number.is_well_formed(number)
    assert number[:5] == block
    assert int(number[6:11]) == serial


@given(BLOCK, SERIAL, st.data())
def test_the_check_character_catches_every_single_wrong_digit(block, serial, data):
    number = contract_number.compose(block, serial)
    place = data.draw(st.sampled_from([0, 1, 2, 3, 4, 6, 7, 8, 9, 10]))
    wrong = data.draw(st.sampled_from([digit for digit in "0123456789" if digit != number[place]]))

    assert not contract_number.is_well_formed(number[:place] + wrong + number[place + 1 :])


@given(BLOCK, SERIAL, st.integers(0, 35))
def test_the_check_character_catches_itself_mistyped(block, serial, other):
    number = contract_number.compose(block, serial)
    wrong = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"[other]

    assert contract_number.is_well_formed(number[:-1] + wrong) == (wrong == number[-1])


@pytest.mark.parametrize(
    "number", ["", "10226-00001", "10226000017", "１０２２６-０００017", "10226-000017\n", " 10226-000017"]
)
def test_another_shape_is_not_well_formed(number):
    assert not contract_number.is_well_formed(number)


def test_a_key_is_twelve_of_the_characters_that_cannot_be_misread():
    drawn = "".join(authentication_key.draw() for _ in range(2000))

    assert len(drawn) == 24_000
    assert set(drawn) == set(authentication_key.ALPHABET)
    assert len(authentication_key.ALPHABET) == 57
    assert not set("0O1Il") & set(drawn)


def test_the_same_certificate_always_has_the_same_id():
    application = uuid.uuid4()

    assert certificate_id(application, "performance", 1) == certificate_id(application, "performance", 1)


def test_certificate_ids_ascend_with_the_time_in_their_applications_ids():
    noon = int(datetime(2026, 11, 30, 12, tzinfo=UTC).timestamp() * 1000)
    times = [noon, noon + 1, noon + 86_400_000]

    ids = [certificate_id(uuid8(time, 7, 7), product, 1) for time in times for product in ("performance", "advance")]

    assert [id_.int >> 80 for id_ in ids] == [time for time in times for _ in range(2)]
    assert {(id_.version, id_.variant) for id_ in ids} == {(8, uuid.RFC_4122)}


def test_another_application_product_or_version_has_another_id():
    application = uuid.uuid4()
    ids = {
        certificate_id(application, "performance", 1),
        certificate_id(application, "performance", 2),
        certificate_id(application, "advance_payment", 1),
        certificate_id(uuid.uuid4(), "performance", 1),
    }

    assert len(ids) == 4


def test_a_minted_key_can_be_opened_by_intake_alone_and_fits_its_digest(keys):
    number, identity = "10226-000017", uuid.uuid4()
    mint = KeyMint(keys.pepper, keys.public_key("intake"))
    sealed = mint.mint(number, identity, recipient=mint.recipient())

    info = authentication_key.sealing_info(number, identity)
    opened = open_with(keys.private_key("intake"), unb64(sealed.sealed), info=info).decode()
    assert authentication_key.digest(keys.pepper, number, opened) == sealed.digest
    for reader in ("issuer", "notifier"):
        with pytest.raises(CannotOpen):
            open_with(keys.private_key(reader), unb64(sealed.sealed), info=info)


def test_every_minting_draws_another_key(keys):
    mint = KeyMint(keys.pepper, keys.public_key("intake"))
    digests = {mint.mint("10226-000017", uuid.UUID(int=1), recipient=mint.recipient()).digest for _ in range(50)}

    assert len(digests) == 50


def test_a_digest_depends_on_pepper_number_and_key():
    digests = {
        authentication_key.digest(pepper, number, key)
        for pepper in (b"p", b"q")
        for number in ("10226-000017", "10226-000025")
        for key in ("Z28YUE4J3Bux", "Z28YUE4J3BuX")
    }

    assert len(digests) == 8


def test_the_mint_shows_no_secret(keys):
    assert "pepper" not in repr(KeyMint(keys.pepper, keys.public_key("intake")))
