"""A service that was given what it cannot use does not start, and says so in a sentence."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.local.state import CLONE
from tests.support.keys import Keyring


def started(keys: Keyring, service: str, given: dict[str, str]) -> tuple[int, str]:
    """Exit code and last words of a service that is expected to end at once."""
    settings = {"AKASHI_SECRETS_DIR": str(keys.of(service)), "AKASHI_KAFKA_SECURITY_PROTOCOL": "SASL_SSL", **given}
    own = {name: value for name, value in os.environ.items() if not name.startswith("AKASHI_")}
    ended = subprocess.run(
        [sys.executable, "-m", f"services.{service}"],
        env={**own, **settings, "PYTHONPATH": str(CLONE)},
        cwd=CLONE,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return ended.returncode, ended.stderr


@pytest.mark.parametrize(
    ("service", "variable"),
    [
        ("intake", "AKASHI_KAFKA_CA_FILE"),
        ("issuer", "AKASHI_POSTGRES_CA_FILE"),
        ("registry", "AKASHI_HTTP_CERTIFICATE_FILE"),
        ("notifier", "AKASHI_SMTP_CA_FILE"),
    ],
)
def test_a_service_without_a_certificate_that_it_was_told_of_does_not_start(
    keys: Keyring, tmp_path: Path, service: str, variable: str
) -> None:
    missing = tmp_path / "missing.pem"

    why = f"The certificates in {missing} can't be read: No such file or directory."
    assert started(keys, service, {variable: str(missing)}) == (1, f"{service} does not start: {why}\n")


@pytest.mark.parametrize(
    ("service", "given", "why"),
    [
        ("issuer", {"AKASHI_POSTGRES_PORT": "99999"}, "AKASHI_POSTGRES_PORT: Input should be less than or equal to 65535"),
        (
            "intake",
            {"AKASHI_KAFKA_BOOTSTRAP": "localhost:abc"},
            'AKASHI_KAFKA_BOOTSTRAP: "localhost:abc" is no broker: write host:port, several separated by commas',
        ),
        (
            "issuer",
            {"AKASHI_LOG_LEVEL": "loud", "AKASHI_ROLE": "x"},
            ("AKASHI_ROLE: Input should be 'all', 'web' or 'worker'; "
            "AKASHI_LOG_LEVEL: Input should be 'DEBUG', 'INFO', 'WARNING', 'ERROR' or 'CRITICAL'"),
        ),
        ("registry", {"AKASHI_DRAIN_SECONDS": "-1"}, "AKASHI_DRAIN_SECONDS: Input should be greater than 0"),
        ("registry", {"AKASHI_WITNESSES": "["}, 'error parsing value for field "witnesses" from source "EnvSettingsSource"'),
        (
            "notifier",
            {"AKASHI_SECRETS_DIR": "/nowhere"},
            "Secret 'private_key' cannot be read from /nowhere: No such file or directory.",
        ),
    ],
)  # fmt: skip
def test_a_setting_that_is_none_is_named(keys: Keyring, service: str, given: dict[str, str], why: str) -> None:
    assert started(keys, service, given) == (1, f"{service} does not start: {why}\n")


@pytest.mark.parametrize("service", ["intake", "issuer", "registry", "notifier"])
def test_a_service_reads_the_reference_data_that_it_was_told_of(keys: Keyring, tmp_path: Path, service: str) -> None:
    code, said = started(keys, service, {"AKASHI_REFERENCE_DIR": str(tmp_path)})

    assert code == 1
    assert said.splitlines() == [
        f"{service} does not start: reference.toml: No such file or directory",
        "purchasers/: no file",
        "sureties/: no file",
    ]


@pytest.mark.parametrize(
    ("secret", "value", "why"),
    [
        ("issuer/pepper", b"not a key", "Secret 'pepper' in {folder} is not 32 bytes in base64."),
        ("issuer/pepper", b"", "Secret 'pepper' in {folder} is no text."),
        ("registry/pepper", b"AAAA", "Secret 'pepper' in {folder} is not 32 bytes in base64."),
        ("notifier/private_key", b"\xff", "Secret 'private_key' in {folder} is no text."),
        ("registry/log_key", b"not a key", "not a signer key"),
        ("intake/document_key.pem", b"not a key", "key or certificates to sign documents: no readable PEM"),
    ],
)
def test_a_secret_that_is_none_is_said(keys: Keyring, tmp_path: Path, secret: str, value: bytes, why: str) -> None:
    service, name = secret.split("/")
    folder = shutil.copytree(keys.of(service), tmp_path / service)
    (folder / name).write_bytes(value)

    code, said = started(keys, service, {"AKASHI_SECRETS_DIR": str(folder)})

    assert (code, said) == (1, f"{service} does not start: {why.format(folder=folder)}\n")
