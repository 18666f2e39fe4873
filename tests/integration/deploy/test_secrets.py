import base64
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from deploy.secrets import SERVICES, SecretsDoNotFit, make_secrets
from transparency.signatures import SignerKey


def all_of(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make_secrets(tmp_path / "secrets")
    return tmp_path / "secrets"


def test_a_repetition_changes_nothing(folder: Path) -> None:
    before = all_of(folder)

    make_secrets(folder)

    assert all_of(folder) == before


def test_a_password_of_kafka_that_was_taken_away_is_told_to_the_broker_anew(folder: Path) -> None:
    told = {folder / "broker" / name for name in ("jaas.conf", "client.properties", "client-tls.properties")}
    old = (folder / "broker" / "kafka_password").read_text()
    (folder / "broker" / "kafka_password").unlink()

    make_secrets(folder)

    new = (folder / "broker" / "kafka_password").read_text()
    assert all(new in path.read_text() and old not in path.read_text() for path in told)


def test_what_is_missing_is_made_from_what_is_there(folder: Path) -> None:
    before = all_of(folder)
    (folder / "issuer" / "public_keys" / "intake").unlink()
    (folder / "registry" / "pepper").unlink()
    (folder / "notifier" / "database_password").unlink()

    made = make_secrets(folder)

    assert all_of(folder) == before
    assert made == ["notifier/database_password", "issuer/public_keys/intake", "registry/pepper"]
    assert make_secrets(folder) == []


def test_a_pepper_that_one_of_two_lost_is_given_back_by_the_other(folder: Path) -> None:
    before = all_of(folder)
    (folder / "issuer" / "pepper").unlink()

    assert make_secrets(folder) == ["issuer/pepper"]
    assert all_of(folder) == before


def test_a_password_of_a_database_that_was_taken_away_is_told_to_its_service_anew(folder: Path) -> None:
    old = (folder / "postgres" / "intake_password").read_text()
    (folder / "postgres" / "intake_password").unlink()

    assert make_secrets(folder) == ["postgres/intake_password", "intake/database_password"]
    assert (folder / "intake" / "database_password").read_text() != old


@pytest.mark.parametrize(
    ("lost", "left"),
    [
        ("intake/private_key", "intake/public_keys/intake and issuer/public_keys/intake"),
        ("issuer/private_key", "intake/public_keys/issuer"),
        ("intake/at_rest_key", "intake/private_key"),
        ("registry/log_key", "registry/log_verifier_key and witness/log_verifier_key"),
        ("witness/key", "registry/witness_verifier_key"),
    ],
)
def test_a_key_that_was_lost_is_not_drawn_anew_in_silence(folder: Path, lost: str, left: str) -> None:
    (folder / lost).unlink()
    before = all_of(folder)

    with pytest.raises(SecretsDoNotFit, match=f"^The secret {lost} is not in .* any more, and {left} still is"):
        make_secrets(folder)

    assert all_of(folder) == before


@pytest.mark.parametrize("one", ["registry/pepper", "intake/public_keys/notifier", "witness/log_verifier_key"])
def test_halves_that_do_not_fit_are_told(folder: Path, tmp_path: Path, one: str) -> None:
    make_secrets(tmp_path / "other")
    (folder / one).write_text((tmp_path / "other" / one).read_text())

    with pytest.raises(SecretsDoNotFit, match=f"and {one} in .* do not fit each other"):
        make_secrets(folder)


@pytest.mark.parametrize(
    "name",
    [
        "issuer/pepper",
        "notifier/private_key",
        "registry/at_rest_key",
        "registry/log_key",
        "signing/authority.pem",
        "signing/intake.pem",
        "tls/authority.pem",
        "operator/kafka_password",
        "postgres/superuser_password",
    ],
)
@pytest.mark.parametrize("damage", [b"", b"\xff\xfe"])
def test_a_secret_that_was_damaged_is_named(folder: Path, name: str, damage: bytes) -> None:
    (folder / name).write_bytes(damage)

    with pytest.raises(SecretsDoNotFit, match=f"^The secret {name} in .* can be none"):
        make_secrets(folder)


def test_several_at_once_end_with_one_set(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as workers:
        list(workers.map(make_secrets, [tmp_path / "secrets"] * 8))

    made = all_of(tmp_path / "secrets")
    make_secrets(tmp_path / "secrets")
    assert all_of(tmp_path / "secrets") == made
    assert made["issuer/pepper"] == made["registry/pepper"]
    assert not [name for name in made if "/." in name]


def test_a_service_knows_the_password_of_its_own_role_only(folder: Path) -> None:
    made = all_of(folder)

    for service in SERVICES:
        assert made[f"{service}/database_password"] == made[f"postgres/{service}_password"]
    assert len({made[f"{service}/database_password"] for service in SERVICES}) == len(SERVICES)


@pytest.mark.parametrize(
    ("private", "publics"),
    [
        ("intake/private_key", ["intake/public_keys/intake", "issuer/public_keys/intake"]),
        ("notifier/private_key", ["intake/public_keys/notifier"]),
    ],
)
def test_public_keys_belong_to_the_private_one(folder: Path, private: str, publics: list[str]) -> None:
    made = all_of(folder)
    key = X25519PrivateKey.from_private_bytes(base64.b64decode(made[private]))

    for public in publics:
        assert base64.b64decode(made[public]) == key.public_key().public_bytes_raw()


@pytest.mark.parametrize("service", ["intake", "registry"])
def test_a_document_key_is_certified_by_the_authority(folder: Path, service: str) -> None:
    key = load_pem_private_key((folder / service / "document_key.pem").read_bytes(), None)
    own, authority = x509.load_pem_x509_certificates((folder / service / "document_chain.pem").read_bytes())

    own.verify_directly_issued_by(authority)
    assert own.public_key() == key.public_key()


def test_keys_of_log_and_witness_fit_what_the_other_is_given(folder: Path) -> None:
    made = all_of(folder)
    log, witness = (SignerKey.parse(made[name]) for name in ("registry/log_key", "witness/key"))

    assert made["registry/log_verifier_key"] == made["witness/log_verifier_key"] == str(log.verifier)
    assert made["registry/witness_verifier_key"] == str(witness.as_cosigner().verifier)
    assert log.seed != witness.seed


def test_only_the_owner_reads_them(folder: Path) -> None:
    for path in [folder, *folder.rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600)


def test_a_container_may_ask_for_other_modes(tmp_path: Path) -> None:
    make_secrets(tmp_path / "secrets", file_mode=0o440, folder_mode=0o750)

    assert stat.S_IMODE((tmp_path / "secrets" / "issuer" / "pepper").stat().st_mode) == 0o440
    assert stat.S_IMODE((tmp_path / "secrets" / "issuer").stat().st_mode) == 0o750
