"""Does what `compose.tls.yaml` adds fit what is there: parts, folders, and files that the secrets' step makes?"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.local.state import CLONE
from deploy.secrets import make_secrets

BASE = yaml.safe_load((CLONE / "deploy" / "compose.yaml").read_text())
OVER = yaml.safe_load((CLONE / "deploy" / "compose.tls.yaml").read_text())
IN_CONTAINERS = "/run/secrets/akashi"
#: Of the parts whose folder of secrets is their own and lies under no name.
OWN_FOLDER = {"intake": "intake", "issuer": "issuer", "desk": "issuer", "registry": "registry", "notifier": "notifier"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("compose") / "secrets"
    make_secrets(folder)
    return folder


def _mounted(part: str) -> set[str]:
    """The folders of secrets that a part sees, as they are called where they are made."""
    volumes = [*BASE["services"][part].get("volumes", []), *OVER["services"][part].get("volumes", [])]
    sources = [volume["source"] if isinstance(volume, dict) else volume.partition(":")[0] for volume in volumes]
    return {source.removeprefix("secrets-") for source in sources if source.startswith("secrets-")}


def _strings(document: Any) -> Iterator[str]:
    match document:
        case dict():
            for value in document.values():
                yield from _strings(value)
        case list():
            for value in document:
                yield from _strings(value)
        case str():
            yield document


def _named(part: str) -> set[str]:
    """The files of secrets that the overlay names for a part, as they are called where they are made."""
    texts = {**OVER["services"][part], "volumes": []}
    found = {file for text in _strings(texts) for file in re.findall(rf"{IN_CONTAINERS}/([\w./-]+\.pem)", text)}
    return {f"{OWN_FOLDER[part]}/{file}" if part in OWN_FOLDER else file for file in found}


def test_it_adds_to_parts_and_volumes_that_there_are() -> None:
    assert OVER["services"].keys() <= BASE["services"].keys()
    for part in OVER["services"]:
        assert _mounted(part) <= {name.removeprefix("secrets-") for name in BASE["volumes"]}


@pytest.mark.parametrize("part", sorted(OVER["services"]))
def test_every_file_that_it_names_is_made_and_is_in_a_folder_of_that_part(made: Path, part: str) -> None:
    named = _named(part)

    assert named
    for file in named:
        assert (made / file).is_file(), file
        assert file.partition("/")[0] in _mounted(part), file


def test_every_folder_of_secrets_has_a_volume_that_the_secrets_step_fills(made: Path) -> None:
    filled = {volume.partition(":")[2] for volume in BASE["services"]["secrets"]["volumes"]}

    assert filled == {f"{IN_CONTAINERS}/{folder.name}" for folder in made.iterdir()}


def test_nobody_else_sees_the_authority_or_anothers_key() -> None:
    holders = {
        part: _mounted(part) if part in OVER["services"] else set()
        for part in BASE["services"]
        if part not in ("secrets", "console")
    }
    assert not [part for part, folders in holders.items() if "tls" in folders]
    assert [part for part, folders in holders.items() if "database" in folders] == ["postgres"]
    assert [part for part, folders in holders.items() if "broker" in folders] == ["kafka"]
    assert [part for part, folders in holders.items() if "mailbox" in folders] == ["mailbox"]


def test_every_part_that_listens_or_calls_is_told_to_speak_tls() -> None:
    told = {part: set(changed.get("environment", {})) for part, changed in OVER["services"].items()}
    for part in (*OWN_FOLDER, "setup", "console"):
        assert {"AKASHI_KAFKA_SECURITY_PROTOCOL", "AKASHI_KAFKA_CA_FILE", "AKASHI_POSTGRES_CA_FILE"} <= told[part]
    for part in OWN_FOLDER:
        assert "AKASHI_HTTP_CERTIFICATE_FILE" in told[part]
    assert BASE["services"].keys() - OVER["services"].keys() == {"secrets"}
