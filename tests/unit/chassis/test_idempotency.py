"""Which requests are the same request?"""

import pytest
from starlette.requests import Request

from chassis.web.idempotency import write_of
from chassis.web.problems import Problem


def a_write(document, *, key="k", method="POST", path="/api/applications", scope="takasaki"):
    headers = [] if key is None else [(b"idempotency-key", key.encode("latin-1"))]
    server = {
        "type": "http",
        "method": method,
        "path": path,
        "headers": headers,
        "query_string": b"",
        "server": ("a", 1),
    }
    return write_of(Request({**server, "scheme": "http"}), scope=scope, document=document)


def test_order_of_fields_makes_no_difference():
    assert a_write({"a": 1, "b": [1, 2]}) == a_write({"b": [1, 2], "a": 1})


@pytest.mark.parametrize("other", [{"a": 2}, {"a": "1"}, {"a": 1, "b": None}, {"a": [1]}, [1], None, "a"])
def test_another_body_is_another_request(other):
    assert a_write({"a": 1}).fingerprint != a_write(other).fingerprint


def test_another_place_or_method_is_another_request():
    fingerprints = {
        a_write(None).fingerprint,
        a_write(None, path="/api/applications/1/withdrawal").fingerprint,
        a_write(None, method="PUT").fingerprint,
    }

    assert len(fingerprints) == 3


@pytest.mark.parametrize("key", [None, "", " ", "a b", "あ".encode().decode("latin-1"), "a" * 201, "a\x7f"])
def test_without_a_usable_key_it_is_refused(key):
    with pytest.raises(Problem) as problem:
        a_write({}, key=key)

    assert (problem.value.status, problem.value.slug) == (400, "idempotency-key-missing")


@pytest.mark.parametrize("key", ["a", "a" * 200, '"8e03978e-40d5-43dd-bc93-6894a57f9324"', "!~"])
def test_any_visible_ascii_is_a_key(key):
    assert a_write({}, key=key).key == key
