"""OpenAPI documents are the same on every machine, and a change of one is noticed."""

import json
from pathlib import Path

import pytest

from console import openapi
from console.services import SERVICES, known_services, make_service
from deploy.local.problem import Problem


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    for name in SERVICES:
        (tmp_path / "services" / name).mkdir(parents=True)
    return tmp_path


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_put_together_without_connecting(name: str) -> None:
    service = make_service(name)

    assert service.runtime.service == name
    assert service.runtime.pool is None


def test_the_document_does_not_depend_on_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    before = openapi.document("issuer")
    monkeypatch.setenv("AKASHI_ROLE", "worker")
    monkeypatch.setenv("AKASHI_REFERENCE_DIR", "/nowhere")

    assert openapi.document("issuer") == before
    assert "/api/desk/applications" in json.loads(before)["paths"]


def test_what_was_generated_is_current_until_it_is_changed(clone: Path) -> None:
    assert openapi.check(["issuer"], clone) == [
        "services/issuer/openapi.json is missing: run `akashi openapi generate`."
    ]

    assert openapi.generate(["issuer"], clone) == [clone / "services/issuer/openapi.json"]
    assert openapi.generate(["issuer"], clone) == []
    assert openapi.check(["issuer"], clone) == []

    (clone / "services/issuer/openapi.json").write_text("{}")
    assert openapi.check(["issuer"], clone) == ["services/issuer/openapi.json is stale: run `akashi openapi generate`."]


def test_outside_a_clone_there_is_nowhere_to_write(tmp_path: Path) -> None:
    with pytest.raises(Problem, match="in a clone"):
        openapi.generate(["issuer"], tmp_path)


def test_services_keep_their_order_and_strangers_are_refused() -> None:
    assert known_services(None) == SERVICES
    assert known_services(["notifier", "intake"]) == ("intake", "notifier")
    with pytest.raises(Problem, match="nobody"):
        known_services(["nobody"])
