from pathlib import Path

import pytest

from deploy.local.parts import ProcessSpec
from deploy.local.problem import Problem
from deploy.local.stack import SERVICES, stack
from deploy.local.state import PREFERRED_PORTS


def test_every_part_comes_after_those_it_needs(tmp_path: Path) -> None:
    seen: set[str] = set()
    for part in stack(tmp_path, PREFERRED_PORTS):
        assert set(part.after) <= seen
        seen.add(part.name)


def test_a_part_can_be_left_out(tmp_path: Path) -> None:
    names = [part.name for part in stack(tmp_path, PREFERRED_PORTS, without=["issuer"])]

    assert "issuer" not in names
    assert set(SERVICES) - {"issuer"} <= set(names)


def test_a_part_that_does_not_exist_can_not_be_left_out(tmp_path: Path) -> None:
    with pytest.raises(Problem, match="no part named nobody"):
        stack(tmp_path, PREFERRED_PORTS, without=["nobody"])


def test_a_service_is_given_its_own_secrets_and_the_callers_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AKASHI_LOG_LEVEL", "debug")
    monkeypatch.setenv("AKASHI_KAFKA_BOOTSTRAP", "elsewhere:9092")
    parts = {part.name: part for part in stack(tmp_path, PREFERRED_PORTS) if isinstance(part, ProcessSpec)}

    given = parts["notifier"].environment()

    assert given["AKASHI_SECRETS_DIR"] == str(tmp_path / "secrets" / "notifier")
    assert given["AKASHI_LOG_LEVEL"] == "debug"
    assert given["AKASHI_KAFKA_BOOTSTRAP"] == "127.0.0.1:8192"
    assert given["AKASHI_SMTP_PORT"] == "8126"
    assert "AKASHI_SMTP_PORT" not in parts["intake"].environment()


def test_how_people_reach_the_pages_the_caller_knows_better(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AKASHI_COOKIES_SECURE", "true")
    monkeypatch.setenv("AKASHI_PURCHASER_URL", "https://purchaser.example")
    monkeypatch.setenv("AKASHI_CONTRACTOR_URL", "https://contractor.example")

    parts = {part.name: part for part in stack(tmp_path, PREFERRED_PORTS) if isinstance(part, ProcessSpec)}

    intake, notifier = parts["intake"].environment(), parts["notifier"].environment()
    assert (intake["AKASHI_COOKIES_SECURE"], intake["AKASHI_PURCHASER_URL"]) == ("true", "https://purchaser.example")
    assert notifier["AKASHI_CONTRACTOR_URL"] == "https://contractor.example"


def test_with_tls_every_service_is_told_whom_to_trust_and_what_to_show(tmp_path: Path) -> None:
    parts = {part.name: part for part in stack(tmp_path, PREFERRED_PORTS, tls=True) if isinstance(part, ProcessSpec)}

    for service in SERVICES:
        own = tmp_path / "secrets" / service
        given = parts[service].environment()
        assert given["AKASHI_KAFKA_SECURITY_PROTOCOL"] == "SASL_SSL"
        assert {given["AKASHI_KAFKA_CA_FILE"], given["AKASHI_POSTGRES_CA_FILE"]} == {str(own / "ca.pem")}
        assert given["AKASHI_HTTP_CERTIFICATE_FILE"] == str(own / "tls.pem")
        assert given["AKASHI_COOKIES_SECURE"] == "true"
        assert parts[service].address.startswith("https://")
    assert parts["notifier"].environment()["AKASHI_SMTP_SECURITY"] == "starttls"


def test_without_tls_a_leftover_of_the_callers_is_not_passed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AKASHI_KAFKA_CA_FILE", "/of/another/stack.pem")
    parts = {part.name: part for part in stack(tmp_path, PREFERRED_PORTS) if isinstance(part, ProcessSpec)}

    assert "AKASHI_KAFKA_CA_FILE" not in parts["intake"].environment()


def test_what_runs_elsewhere_is_trusted_as_the_caller_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AKASHI_KAFKA_BOOTSTRAP", "elsewhere:9092")
    monkeypatch.setenv("AKASHI_KAFKA_SECURITY_PROTOCOL", "SASL_SSL")
    monkeypatch.setenv("AKASHI_KAFKA_CA_FILE", "/elsewhere/ca.pem")
    parts = stack(tmp_path, PREFERRED_PORTS, without=["kafka"], tls=True)
    intake = next(part for part in parts if part.name == "intake")
    assert isinstance(intake, ProcessSpec)

    given = intake.environment()

    assert (given["AKASHI_KAFKA_BOOTSTRAP"], given["AKASHI_KAFKA_CA_FILE"]) == ("elsewhere:9092", "/elsewhere/ca.pem")
    assert given["AKASHI_POSTGRES_CA_FILE"] == str(tmp_path / "secrets" / "intake" / "ca.pem")


def test_the_registry_is_told_of_the_witness_unless_it_is_left_out(tmp_path: Path) -> None:
    def witnesses(*without: str) -> str | None:
        parts = {part.name: part for part in stack(tmp_path, PREFERRED_PORTS, without=without)}
        assert ("witness" in parts) == (not without)
        registry = parts["registry"]
        assert isinstance(registry, ProcessSpec)
        return registry.environment().get("AKASHI_WITNESSES")

    assert "witness_verifier_key" in (witnesses() or "")
    assert witnesses("witness") is None
