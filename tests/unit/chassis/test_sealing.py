"""Who may open what: nobody without the key, and not about anything else."""

import uuid

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from chassis import sealing
from chassis.sealing import CannotOpen, DataKey

ABOUT, OTHER = uuid.UUID(int=1), uuid.UUID(int=2)
KEY = DataKey(uuid.UUID(int=3), bytes(range(32)))
PRIVATE = bytes(range(32))
PUBLIC = X25519PrivateKey.from_private_bytes(PRIVATE).public_key().public_bytes_raw()
SEALED = sealing.Recipient(PUBLIC).seal(b"secret", info=b"i")
#: As topics may still hold it.
SEALED_BY_HPKE_ALONE = bytes.fromhex(
    "e786856519bc5b6c6b633e082d3b0d247354eae0a65e0fa797c8811af6a2a2337a3cd9336e26fa6d87fb0f171cf1dcbc01d233104e76"
)


@given(st.binary(max_size=200))
def test_what_was_sealed_is_opened_by_the_same_key_about_the_same_thing(plaintext):
    assert KEY.open(*KEY.seal(plaintext, about=ABOUT), about=ABOUT) == plaintext


def test_what_is_about_another_thing_cannot_be_opened():
    with pytest.raises(CannotOpen):
        KEY.open(*KEY.seal(b"secret", about=ABOUT), about=OTHER)


def test_another_key_does_not_open():
    with pytest.raises(CannotOpen):
        DataKey(KEY.id, bytes(32)).open(*KEY.seal(b"secret", about=ABOUT), about=ABOUT)


@given(st.binary(max_size=40), st.binary(max_size=80))
def test_damaged_bytes_cannot_be_opened_and_raise_nothing_else(nonce, ciphertext):
    with pytest.raises(CannotOpen):
        KEY.open(nonce, ciphertext, about=ABOUT)


def test_the_same_text_is_never_sealed_alike():
    assert KEY.seal(b"secret", about=ABOUT) != KEY.seal(b"secret", about=ABOUT)


def test_only_the_reader_opens_what_was_sealed_to_it(keys):
    sealed = sealing.Recipient(keys.public_key("issuer")).seal(b"secret", info=b"i")

    assert sealing.open_with(keys.private_key("issuer"), sealed, info=b"i") == b"secret"
    with pytest.raises(CannotOpen):
        sealing.open_with(keys.private_key("notifier"), sealed, info=b"i")


def test_what_is_sealed_to_one_reader_at_once_is_opened_each_by_itself_and_in_no_other_s_place(keys):
    recipient = sealing.Recipient(keys.public_key("issuer"))
    first, second = recipient.seal(b"first", info=b"1"), recipient.seal(b"second", info=b"2")

    assert sealing.open_with(keys.private_key("issuer"), second, info=b"2") == b"second"
    assert sealing.open_with(keys.private_key("issuer"), first, info=b"1") == b"first"
    with pytest.raises(CannotOpen):
        sealing.open_with(keys.private_key("issuer"), second, info=b"1")


def test_what_was_sealed_does_not_open_under_another_key_to_the_same_reader(keys):
    ours, theirs = (sealing.Recipient(keys.public_key("issuer")).seal(b"secret", info=b"i") for _ in range(2))
    ends = -len(b"secret") - 16 - sealing.NONCE_BYTES

    with pytest.raises(CannotOpen):
        sealing.open_with(keys.private_key("issuer"), theirs[:ends] + ours[ends:], info=b"i")


@given(place=st.integers(min_value=0, max_value=len(SEALED) - 1), bit=st.integers(min_value=0, max_value=7))
def test_no_bit_of_what_was_sealed_can_be_changed(place, bit):
    changed = bytearray(SEALED)
    changed[place] ^= 1 << bit

    with pytest.raises(CannotOpen):
        sealing.open_with(PRIVATE, bytes(changed), info=b"i")


def test_what_was_sealed_by_hpke_alone_is_still_opened():
    assert sealing.open_with(PRIVATE, SEALED_BY_HPKE_ALONE, info=b"i") == b"secret"


def test_what_was_sealed_for_another_purpose_cannot_be_opened(keys):
    sealed = sealing.Recipient(keys.public_key("issuer")).seal(b"secret", info=b"i")

    with pytest.raises(CannotOpen):
        sealing.open_with(keys.private_key("issuer"), sealed, info=b"j")


@given(sealed=st.binary(max_size=200) | st.binary(max_size=200).map(sealing.MARK.__add__))
def test_bytes_that_nobody_sealed_cannot_be_opened_and_raise_nothing_else(keys, sealed):
    with pytest.raises(CannotOpen):
        sealing.open_with(keys.private_key("issuer"), sealed, info=b"i")


def test_a_wrapped_key_is_bound_to_its_application_and_its_reader():
    infos = {
        sealing.wrapping_info(application, reader) for application in (ABOUT, OTHER) for reader in ("issuer", "intake")
    }

    assert len(infos) == 4


def test_a_data_key_shows_no_secret():
    assert str(KEY.secret) not in repr(KEY)
