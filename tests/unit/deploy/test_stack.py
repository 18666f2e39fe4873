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


def test_the_registry_is_told_of_the_witness_unless_it_is_left_out(tmp_path: Path) -> None:
    def witnesses(*without: str) -> str | None:
        parts = {part.name: part for part in stack(tmp_path, PREFERRED_PORTS, without=without)}
        assert ("witness" in parts) == (not without)
        registry = parts["registry"]
        assert isinstance(registry, ProcessSpec)
        return registry.environment().get("AKASHI_WITNESSES")

    assert "witness_verifier_key" in (witnesses() or "")
    assert witnesses("witness") is None
