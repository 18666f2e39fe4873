"""Signed notes as golang.org/x/mod/sumdb/note reads and writes them; keys in their text forms."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transparency.errors import DoesNotVerify, Malformed
from transparency.notes import NobodySigned, Note, NoteIsMalformed, SignatureIsWrong, sign
from transparency.signatures import COSIGNATURE, SignerKey, VerifierKey

# Vectors of golang.org/x/mod/sumdb/note.
PETER_SECRET = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
PETER = VerifierKey.parse("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW")
ENOCH = VerifierKey.parse("EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop")
TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
PETERS = "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
ENOCHS = "— EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ=\n"


def test_a_note_is_signed_as_the_reference_signs_it():
    signature = sign(TEXT, SignerKey.parse(PETER_SECRET))
    assert str(Note(TEXT, (signature,))) == f"{TEXT}\n{PETERS}"


def test_only_the_trusted_count_and_the_others_are_kept():
    note = Note.parse(f"{TEXT}\n{PETERS}{ENOCHS}")
    assert note.text == TEXT
    assert note.verified_by([PETER]) == {PETER: None}
    assert note.verified_by([ENOCH, PETER]) == {PETER: None, ENOCH: None}
    assert str(note) == f"{TEXT}\n{PETERS}{ENOCHS}"


def test_a_note_that_no_trusted_key_signed_says_nothing():
    with pytest.raises(NobodySigned):
        Note.parse(f"{TEXT}\n{ENOCHS}").verified_by([PETER])
    with pytest.raises(NobodySigned):
        Note.parse(f"{TEXT}\n{PETERS}").verified_by([])


def test_one_wrong_signature_of_a_trusted_key_refuses_the_note():
    with pytest.raises(SignatureIsWrong, match=r"PeterNeumann\+c74f20a3"):
        Note.parse(f"{TEXT}\n{PETERS[:60]}ABCD{PETERS[60:]}{ENOCHS}").verified_by([PETER, ENOCH])
    with pytest.raises(SignatureIsWrong):
        Note.parse(f"{TEXT[1:]}\n{PETERS}").verified_by([PETER])
    with pytest.raises(SignatureIsWrong):
        Note.parse(f"{TEXT}\n{PETERS}{PETERS[:60]}ABCD{PETERS[60:]}").verified_by([PETER])


def test_repeated_signatures_count_once_and_unknown_ones_need_not_be_right():
    note = Note.parse(f"{TEXT}\n{PETERS}{PETERS}{ENOCHS}{ENOCHS}{ENOCHS[:60]}ABCD{ENOCHS[60:]}")
    assert note.verified_by([PETER]) == {PETER: None}


def test_a_name_or_an_id_alone_is_no_known_key():
    for line in (PETERS.replace("PeterNeumann", "CarmenSandiego"), PETERS.replace("x08g", "xxxx")):
        with pytest.raises(NobodySigned):
            Note.parse(f"{TEXT}\n{line}").verified_by([PETER])


def test_the_last_empty_line_divides():
    text = f"a\n\n{PETERS}\nb\n"
    assert Note.parse(f"{text}\n{PETERS}").text == text


@pytest.mark.parametrize(
    "note",
    [
        "",
        TEXT,
        f"{TEXT}\n",
        f"{TEXT}\n{PETERS[:-1]}",
        f"\x01{TEXT}\n{PETERS}",
        b"\xff" + f"{TEXT}\n{PETERS}".encode(),
        f"{TEXT}\n{PETERS.replace('PeterNeumann', 'Bad Name')}",
        f"{TEXT}\n{PETERS.replace('PeterNeumann', 'Bad+Name')}",
        f"{TEXT}\n{PETERS.replace('PeterNeumann', 'Bad　Name')}",
        f"{TEXT}\n{PETERS.replace(' x08', '  x08')}",
        f"{TEXT}\n{PETERS}Unexpected line.\n",
        f"{TEXT}\n{PETERS}\r\n",
        f"{TEXT}\n{PETERS.replace('—', '-')}",
        f"{TEXT}\n{PETERS * 101}",
        f"{TEXT}\n— PeterNeumann x08gow==\n",
        f"{TEXT}\n{PETERS.replace('nAM=', 'nAN=')}",
    ],
)
def test_what_is_no_note_is_refused(note):
    with pytest.raises(NoteIsMalformed):
        Note.parse(note)


def test_the_note_of_the_specification_is_well_formed():
    text = "Ognuno sta solo sul cuor della terra\ntrafitto da un raggio di sole:\n\ned è subito sera.\n"
    line = (
        "— quasimodo.example/salvatore NnugSzTjtVAewIS+Z/iJhUPeFDkO/5QQ2i5ddnGITLlC+"
        "EhfLW9oJKONrMouFSQU0xMcXxj99ihAQwaqP3ZekRwNtIc=\n"
    )
    note = Note.parse(f"{text}\n{line}")
    assert note.text == text
    assert note.signatures[0].key_id.hex() == "367ba04b"
    assert str(note) == f"{text}\n{line}"


@given(st.text())
def test_reading_a_note_raises_nothing_but_its_own_error(text):
    with contextlib.suppress(NoteIsMalformed):
        assert str(Note.parse(text)) == text


def test_keys_have_one_text_form_each():
    signer = SignerKey.parse(PETER_SECRET)
    assert signer.secret_text() == PETER_SECRET
    assert signer.verifier == PETER
    assert str(PETER) == "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"


def test_every_damaged_key_is_refused():
    for parse, text in ((VerifierKey.parse, str(PETER)), (SignerKey.parse, PETER_SECRET)):
        for start in range(len(text)):
            for end in range(start, len(text) + 1):
                if (start, end) != (0, len(text)):
                    with pytest.raises(Malformed):
                        parse(text[start:end])
        for place in range(len(text)):
            with pytest.raises(Malformed):
                parse(text[:place] + chr(ord(text[place]) + 1) + text[place + 1 :])


@pytest.mark.parametrize(
    "key",
    [
        # Another length and another algorithm, with the id that fits.
        "PeterNeumann+cc469956+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWBADKEY==",
        "PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "bananas.sigstore.dev+12344556",
        "rekor.sigstore.dev+12345678+THIS_IS_NOT_BASE64!",
        "rekor.sigstore.dev+12345678+AwEB",
    ],
)
def test_a_key_of_another_kind_is_refused(key):
    with pytest.raises(Malformed):
        VerifierKey.parse(key)


def test_a_cosigner_s_key_is_read():
    key = VerifierKey.parse("remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2")
    assert key.kind == COSIGNATURE


def test_a_secret_is_in_no_representation_and_no_error():
    signer = SignerKey.parse(PETER_SECRET)
    assert "AYEKFALVFGy" not in repr(signer)
    assert signer.seed.hex() not in repr(signer)
    with pytest.raises(Malformed) as caught:
        SignerKey.parse(PETER_SECRET[:-1])
    assert "AYEK" not in str(caught.value)


@pytest.mark.parametrize("text", ["no newline", "", "a\x00b\n", "tab\t\n"])
def test_what_cannot_be_the_text_of_a_note_is_not_signed(text):
    with pytest.raises(NoteIsMalformed):
        sign(text, SignerKey.parse(PETER_SECRET))


def test_a_newer_signature_takes_the_older_one_s_place():
    note = Note.parse(f"{TEXT}\n{PETERS}{ENOCHS}")
    assert note.with_signatures([sign(TEXT, SignerKey.parse(PETER_SECRET))]) == note


def test_every_refusal_is_one_kind_of_error():
    assert issubclass(NoteIsMalformed, DoesNotVerify)
    assert issubclass(SignatureIsWrong, DoesNotVerify)
