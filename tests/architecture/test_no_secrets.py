"""No secret is in the repository, and what looks like one is known not to be one."""

import subprocess
from collections.abc import Iterator

import pytest
from detect_secrets.core.scan import scan_file
from detect_secrets.settings import transient_settings

from deploy.local.state import CLONE

#: Keys, tokens of well-known services, passwords in addresses.
SHAPES = [
    "AWSKeyDetector",
    "ArtifactoryDetector",
    "AzureStorageKeyDetector",
    "BasicAuthDetector",
    "GitHubTokenDetector",
    "GitLabTokenDetector",
    "JwtTokenDetector",
    "NpmDetector",
    "PrivateKeyDetector",
    "PypiTokenDetector",
    "SlackDetector",
]
#: What could be anything drawn at random, and words beside which secrets are written.
GUESSES = ["Base64HighEntropyString", "HexHighEntropyString", "KeywordDetector"]
#: Names of secrets' files in tables and lists, a query by a token's hash, and the alphabet of keys.
NO_SECRETS = {
    ("chassis/web/sessions.py", "Secret Keyword"),
    ("docs/operations.md", "Secret Keyword"),
    ("schemas/authentication_key.py", "Base64 High Entropy String"),
    ("services/intake/README.md", "Secret Keyword"),
    ("services/issuer/README.md", "Secret Keyword"),
    ("services/notifier/README.md", "Secret Keyword"),
}
#: Made up, or sealed to keys that nobody has.
MADE_UP = ("tests/", "schemas/examples/")

NO_TEXT = (".ttf", ".otf", ".png", ".ico", ".lock")


def found(names: list[str], plugins: list[str]) -> Iterator[tuple[str, str]]:
    with transient_settings({"plugins_used": [{"name": plugin} for plugin in plugins]}):
        for name in names:
            yield from ((name, secret.type) for secret in scan_file(str(CLONE / name)))


@pytest.fixture(scope="module")
def tracked() -> list[str]:
    listed = subprocess.run(["git", "ls-files"], cwd=CLONE, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("this is no clone")
    return [name for name in listed.stdout.splitlines() if (CLONE / name).is_file() and not name.endswith(NO_TEXT)]


def test_nothing_has_the_shape_of_a_secret(tracked: list[str]) -> None:
    assert sorted(found(tracked, SHAPES)) == []


def test_what_could_be_a_secret_is_known_not_to_be_one(tracked: list[str]) -> None:
    ours = [name for name in tracked if not name.startswith(MADE_UP)]

    assert set(found(ours, GUESSES)) <= NO_SECRETS


def test_a_secret_would_be_found(tmp_path) -> None:
    begin = "-----BEGIN EC " + "PRIVATE KEY-----"
    (tmp_path / "settings.py").write_text(f'password = "dGhpcyBpcyBzZWNyZXQK9x"\nkey = """{begin}"""\n')

    kinds = {kind for _, kind in found([str(tmp_path / "settings.py")], [*SHAPES, *GUESSES])}

    assert kinds >= {"Secret Keyword", "Private Key"}
