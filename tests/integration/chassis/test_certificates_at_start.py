"""A service that cannot read what it needs for TLS does not start, and says so in a sentence."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.local.state import CLONE
from tests.support.keys import Keyring


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
    settings = {
        "AKASHI_SECRETS_DIR": str(keys.of(service)),
        "AKASHI_KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
        variable: str(missing),
    }
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

    assert ended.returncode == 1
    why = "can't be read: No such file or directory."
    assert ended.stderr == f"{service} does not start: The certificates in {missing} {why}\n"
