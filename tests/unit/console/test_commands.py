"""`akashi` as it is typed: help, refusals, exit codes."""

import errno
import json
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import pytest
from typer.testing import CliRunner, Result

from console.main import app
from console.output import printable
from schemas import topics

COMMANDS = (
    "migrate",
    "setup",
    "demo",
    "accounts",
    "tokens",
    "topics",
    "dead-letters",
    "audit",
    "privacy",
    "secrets",
    "openapi",
)
NOWHERE = {
    "AKASHI_KAFKA_BOOTSTRAP": "",
    "AKASHI_POSTGRES_HOST": "",
    "AKASHI_POSTGRES_PORT": "",
    "AKASHI_SECRETS_DIR": "",
}


@pytest.fixture
def akashi(tmp_path: Path):
    """Type a command where there is no stack."""

    def run(*arguments: str) -> Result:
        return CliRunner(env={**NOWHERE, "AKASHI_STATE": str(tmp_path), "COLUMNS": "200"}).invoke(app, arguments)

    return run


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_there_and_explains_itself(akashi, command: str) -> None:
    assert command in akashi("--help").output
    shown = akashi(command, "--help")

    assert shown.exit_code == 0
    assert "Usage:" in shown.output


def test_help_waits_for_no_heavy_import() -> None:
    heavy = {"pydantic", "aiokafka", "asyncpg", "fastapi", "starlette", "faststream", "cryptography", "structlog"}
    code = f"import sys, console.main; print(sorted({heavy} & sys.modules.keys()))"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("arguments", "exit_code"),
    [
        (("accounts", "list"), 1),
        (("tokens", "list"), 1),
        (("tokens", "issue", "--account", "018f0000-0000-7000-8000-000000000000"), 1),
        (("topics", "check"), 1),
        (("topics", "create"), 1),
        (("dead-letters", "list"), 1),
        (("migrate", "--status"), 1),
        (("setup",), 1),
        (("audit", "compare"), 2),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_without_a_stack_a_command_says_so_in_one_sentence(akashi, arguments: tuple[str, ...], exit_code: int) -> None:
    done = akashi(*arguments)

    assert done.exit_code == exit_code
    assert done.stdout == ""
    assert done.stderr.startswith("No stack was found in ")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("command", ["compare", "replay", "reconcile", "rebuild", "trail x", "export /x", "import /x"])
@pytest.mark.parametrize(
    ("breaks", "said"),
    [
        (ValueError("what nobody thought of"), "ValueError: what nobody thought of\n"),
        (OSError(errno.ENOSPC, "No space left on device"), "could not be told: No space left on device.\n"),
    ],
    ids=["a bug", "nowhere to write"],
)
def test_an_audit_that_breaks_has_found_nothing(
    akashi, monkeypatch: pytest.MonkeyPatch, command: str, breaks: Exception, said: str
) -> None:
    """1 would say that something was found."""

    def find_stack(**_: object) -> NoReturn:
        raise breaks

    monkeypatch.setattr("console.commands.audit.find_stack", find_stack)

    done = akashi("audit", *command.split())

    assert done.exit_code == 2
    assert done.stderr.endswith(said)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("secrets", "make", ""), "No folder"),
        (("accounts", "add-contractor", "--id", "Bad Id", "--person", "甲"), "no contractor id"),
        (("accounts", "add-contractor", "--id", "ok", "--person", "甲", "--name", "乙"), "--address"),
        (("accounts", "add-staff", "--surety", "nobody", "--person", "甲"), "no surety"),
        (("accounts", "add-purchaser", "--purchaser", "nobody", "--person", "甲"), "no purchaser"),
        (("accounts", "add-purchaser", "--purchaser", "tochigi", "--person", " "), "--person"),
        (("tokens", "issue", "--account", "018f0000-0000-7000-8000-000000000000", "--service", "notifier"), "sign in"),
        (("tokens", "revoke"), "--account or --token"),
        (("dead-letters", "list", "--group", "nobody"), "no consumer group"),
        (("dead-letters", "redrive"), "--all"),
        (("dead-letters", "redrive", "--all", "abcd"), "--all"),
        (("dead-letters", "redrive", "abcd", "--reason", "oversized"), "--reason"),
        (("dead-letters", "settle", "abcd", "--by", "甲", "--reason", "a\nb"), "--reason"),
        (("dead-letters", "settle", "abcd", "--by", " ", "--reason", "garbage"), "--by"),
        (("migrate", "nobody"), "no service"),
        (("openapi", "check", "nobody"), "no service"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_makes_no_sense_is_refused_in_one_sentence(akashi, arguments: tuple[str, ...], said: str) -> None:
    done = akashi(*arguments)

    assert done.exit_code == 1
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ("tokens", "issue", "--account", "not-a-uuid"),
        ("tokens", "issue", "--account", "018f0000-0000-7000-8000-000000000000", "--days", "0"),
        ("audit", "compare", "--settle", "-1"),
        ("audit", "reconcile", "--older-than", "inf"),
        ("nonsense",),
    ],
    ids=" ".join,
)
def test_what_cannot_be_read_is_a_usage_error(akashi, arguments: tuple[str, ...]) -> None:
    assert akashi(*arguments).exit_code == 2


def test_topics_are_listed_for_programs_without_asking_a_broker(akashi) -> None:
    listed = json.loads(akashi("topics", "list", "--json").stdout)

    assert [topic["name"] for topic in listed[: len(topics.BUSINESS)]] == [topic.name for topic in topics.BUSINESS]
    assert {topic["name"] for topic in listed} >= {"registry.dead-letters.v1", "registry.redrive.v1"}


def test_secrets_are_made_once(akashi, tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    assert akashi("secrets", "make", str(folder)).exit_code == 0
    password = (folder / "issuer" / "database_password").read_text()

    assert akashi("secrets", "make", str(folder)).exit_code == 0
    assert (folder / "issuer" / "database_password").read_text() == password


def test_nothing_that_a_terminal_would_obey_is_printed() -> None:
    assert printable("証　\x1b[2J\x9b\u202e\n") == "証　\\x1b[2J\\x9b\\u202e\n"
