"""What an operator may register."""

import shutil
from pathlib import Path

import pytest

from console import accounts
from deploy.local.problem import Problem
from reference import reader


@pytest.mark.parametrize("identity", ["a", "shimotsuke", "shimotsuke-kensetsu-2", "a" * 64])
def test_a_contractor_id_is_written_as_in_reference_data(identity: str) -> None:
    assert accounts.contractor_id(identity) == identity


@pytest.mark.parametrize(
    "identity", ["", "A", "2a", "-a", "a-", "a--b", "a_b", "a b", "a\n", "下野", "ａ", "a" * 65, "../a"]
)
def test_any_other_contractor_id_is_refused(identity: str) -> None:
    with pytest.raises(Problem, match="contractor id"):
        accounts.contractor_id(identity)


def test_a_person_is_kept_as_typed() -> None:
    assert accounts.person_name(" 髙橋 花子 ") == "髙橋 花子"
    assert accounts.person_name("髙橋　花子") == "髙橋　花子"


@pytest.mark.parametrize("person", ["", "  ", "a\nb", "a\x1b[2J", "a" * 201])
def test_a_person_without_a_usable_name_is_refused(person: str) -> None:
    with pytest.raises(Problem, match="--person"):
        accounts.person_name(person)


def test_a_contractor_that_is_registered_needs_only_its_id() -> None:
    assert accounts.complete_contractor("shimotsuke", None, None, None) is None


def test_a_new_contractor_is_complete() -> None:
    contractor = accounts.complete_contractor("shimotsuke", "下野建設", "宇都宮市", "代表取締役　下野　太郎")

    assert contractor is not None
    assert contractor.model_dump() == {
        "id": "shimotsuke",
        "name": "下野建設",
        "address": "宇都宮市",
        "representative": "代表取締役　下野　太郎",
    }


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        (("下野建設", None, None), "--address, --representative"),
        ((None, "宇都宮市", "下野"), "--name"),
        (("下野建設", " ", "下野"), "--address"),
    ],
)
def test_half_a_contractor_is_refused_and_the_rest_is_named(
    given: tuple[str | None, str | None, str | None], missing: str
) -> None:
    with pytest.raises(Problem, match=missing):
        accounts.complete_contractor("shimotsuke", *given)


def test_a_field_that_an_application_could_not_carry_is_refused() -> None:
    with pytest.raises(Problem, match="--address"):
        accounts.complete_contractor("shimotsuke", "下野建設", "あ" * 201, "下野")


def test_sureties_and_purchasers_come_from_reference_data() -> None:
    assert accounts.known_surety("toto") == "toto"
    assert accounts.known_purchaser("tochigi") == "tochigi"


def test_the_services_reference_data_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(reader.DEFAULT, tmp_path / "data")
    (tmp_path / "data" / "sureties" / "nankai.toml").unlink()
    monkeypatch.setenv("AKASHI_REFERENCE_DIR", str(tmp_path / "data"))

    assert accounts.known_surety("toto") == "toto"
    with pytest.raises(Problem, match="nankai"):
        accounts.known_surety("nankai")


def test_a_stranger_is_refused_and_the_known_are_named() -> None:
    with pytest.raises(Problem, match="nankai, toto"):
        accounts.known_surety("tochigi")
    with pytest.raises(Problem, match="tochigi"):
        accounts.known_purchaser("toto")


def test_every_role_has_its_scopes() -> None:
    assert accounts.SCOPES == {
        "contractor": ("applications", "guarantees"),
        "desk": ("desk",),
        "purchaser": ("lookup",),
    }
    assert set(accounts.ROLES.values()) == accounts.SCOPES.keys()
