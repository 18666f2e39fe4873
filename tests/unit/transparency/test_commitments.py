"""The canonical form is RFC 8785's, and a commitment binds to all of a document."""

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transparency.commitments import NotCanonical, canonical, commitment
from transparency.errors import Malformed

SALT = bytes(range(32))
texts = st.text(st.characters(exclude_categories=["Cs"]))
documents = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)


def test_names_are_sorted_by_utf_16_code_units():
    """The example of RFC 8785 §3.2.3, from the test data of its author."""
    written = (
        '{"\\u20ac":"Euro Sign","1":"One","\\u0080":"Control\\u007f","\\ud83d\\ude02":"Smiley",'
        '"\\u00f6":"Latin Small Letter O With Diaeresis","\\ufb33":"Hebrew Letter Dalet With Dagesh",'
        '"</script>":"Browser Challenge"}'
    )
    expected = (
        '{"1":"One","</script>":"Browser Challenge","\x80":"Control\x7f","ö":"Latin Small Letter O With Diaeresis",'
        '"€":"Euro Sign","😂":"Smiley","\ufb33":"Hebrew Letter Dalet With Dagesh"}'
    )
    assert canonical(json.loads(written)).decode() == expected


def test_a_surrogate_pair_comes_before_the_compatibility_ideographs():
    assert canonical({"﨑": 1, "𠮷": 2}).decode() == '{"𠮷":2,"﨑":1}'
    assert json.dumps({"﨑": 1, "𠮷": 2}, sort_keys=True, ensure_ascii=False) == '{"﨑": 1, "𠮷": 2}'


def test_structures_are_written_as_the_reference_writes_them():
    document = {"1": {"f": {"f": "hi", "F": 5}, "\n": 56}, "10": {}, "": "empty", "a": {}, "111": [{}], "A": {}}
    expected = '{"":"empty","1":{"\\n":56,"f":{"F":5,"f":"hi"}},"10":{},"111":[{}],"A":{},"a":{}}'
    assert canonical(document).decode() == expected


def test_only_what_must_be_escaped_is():
    assert canonical('\x00\x08\t\n\x0b\x0c\r\x1f"\\/\x7f\u2028é').decode() == (
        '"\\u0000\\b\\t\\n\\u000b\\f\\r\\u001f\\"\\\\/\x7f\u2028é"'
    )


@given(documents)
def test_the_canonical_form_says_the_same_and_is_its_own_canonical_form(document):
    form = canonical(document)
    assert json.loads(form) == document
    assert canonical(json.loads(form)) == form


@pytest.mark.parametrize(
    "document", [1.0, {"a": float("nan")}, 2**53, -(2**53), "\ud800", {"\udc00": 1}, {1: 2}, b"x", {"a": {1, 2}}]
)
def test_what_has_no_one_form_is_refused(document):
    with pytest.raises(NotCanonical):
        canonical(document)


def test_what_is_nested_without_end_is_refused():
    document: list[object] = []
    document.append(document)
    with pytest.raises(NotCanonical):
        canonical(document)


def test_the_commitment_is_what_the_page_for_outsiders_says():
    expected = hashlib.sha256(b"akashi leaf v1\x00" + SALT + b'{"a":"\xf0\xa0\xae\xb7","type":"t"}').hexdigest()
    assert commitment(SALT, {"type": "t", "a": "𠮷"}).hex() == expected


@given(documents, documents)
def test_two_documents_or_two_salts_have_two_commitments(one, other):
    same = canonical(one) == canonical(other)
    assert (commitment(SALT, one) == commitment(SALT, other)) == same
    assert commitment(SALT, one) != commitment(SALT[::-1], one)


@pytest.mark.parametrize("salt", [b"", bytes(31), bytes(33)])
def test_a_salt_of_another_length_is_refused(salt):
    with pytest.raises(Malformed):
        commitment(salt, {})
