"""Who may open what: nobody without the key, and not about anything else."""

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis import sealing
from chassis.sealing import CannotOpen, DataKey

ABOUT, OTHER = uuid.UUID(int=1), uuid.UUID(int=2)
KEY = DataKey(uuid.UUID(int=3), bytes(range(32)))


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
    sealed = sealing.seal_to(keys.public_key("issuer"), b"secret", info=b"i")

    assert sealing.open_with(keys.private_key("issuer"), sealed, info=b"i") == b"secret"
    with pytest.raises(CannotOpen):
        sealing.open_with(keys.private_key("notifier"), sealed, info=b"i")


def test_what_was_sealed_for_another_purpose_cannot_be_opened(keys):
    sealed = sealing.seal_to(keys.public_key("issuer"), b"secret", info=b"i")

    with pytest.raises(CannotOpen):
        sealing.open_with(keys.private_key("issuer"), sealed, info=b"j")


@given(sealed=st.binary(max_size=120))
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
