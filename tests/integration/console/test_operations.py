"""Setting up, migrating, accounts and tokens, against real servers."""

import asyncio
import json
from pathlib import Path
from uuid import UUID

import pytest
from starlette.requests import Request

from chassis.clock import SystemClock
from chassis.web import sessions
from chassis.web.problems import Problem as WebProblem
from chassis.web.tokens import Principal, authenticate
from console import migrations as console_migrations
from console import store
from console.environment import Stack
from console.services import migrations_of

COMPANY = ("--name", "下野建設", "--address", "宇都宮市１－１", "--representative", "代表取締役　下野　太郎")


async def let_in(stack: Stack, service: str, token: str, role: str, scope: str) -> Principal:
    """What the service makes of a token."""
    request = Request({"type": "http", "headers": [(b"authorization", f"Bearer {token}".encode())]})
    async with store.connect(stack, service) as connection:
        return await authenticate(connection, request, role=role, scope=scope, now=SystemClock().now())


def test_setting_up_again_changes_nothing(akashi) -> None:
    done = akashi("setup")

    assert done.exit_code == 0
    assert "topics created: 0" in done.stderr


def test_topics_are_as_declared(akashi) -> None:
    done = akashi("topics", "check")

    assert (done.exit_code, done.stdout) == (0, "")


def test_topics_are_created_once(akashi) -> None:
    assert akashi("topics", "create").stdout == ""


def test_all_migrations_are_applied(akashi) -> None:
    listed = akashi("migrate", "--status", "--json")

    assert listed.exit_code == 0
    migrations = json.loads(listed.stdout)
    assert {migration["service"] for migration in migrations} == {"intake", "issuer", "registry", "notifier"}
    assert {migration["state"] for migration in migrations} == {"applied"}
    assert akashi("migrate").stdout == ""


async def rename_migration(stack: Stack, old: str, new: str) -> None:
    async with store.connect(stack, "issuer") as connection:
        await connection.execute("UPDATE schema_migration SET name = $2 WHERE name = $1", old, new)


def test_a_migration_that_is_missing_is_told(akashi, ready: Stack) -> None:
    name = "issuer_0001_applications.sql"
    asyncio.run(rename_migration(ready, name, "renamed.sql"))
    try:
        listed = akashi("migrate", "issuer", "--status", "--json")
    finally:
        asyncio.run(rename_migration(ready, "renamed.sql", name))

    assert listed.exit_code == 1
    states = {migration["file"]: migration["state"] for migration in json.loads(listed.stdout)}
    assert (states[name], states["renamed.sql"]) == ("pending", "unknown")


def test_what_a_newer_release_applied_is_no_fault(akashi, ready: Stack) -> None:
    asyncio.run(add_migration(ready, "issuer_9999_of_later_days.sql"))
    try:
        listed = akashi("migrate", "--status", "--json")
    finally:
        asyncio.run(forget_migration(ready, "issuer_9999_of_later_days.sql"))

    assert "unknown" in {migration["state"] for migration in json.loads(listed.stdout)}
    assert listed.exit_code == 0


async def add_migration(stack: Stack, name: str) -> None:
    async with store.connect(stack, "issuer") as connection:
        await connection.execute("INSERT INTO schema_migration (name, sha256) VALUES ($1, '')", name)


async def forget_migration(stack: Stack, name: str) -> None:
    async with store.connect(stack, "issuer") as connection:
        await connection.execute("DELETE FROM schema_migration WHERE name = $1", name)


def test_a_migration_that_breaks_is_named_with_its_service(
    akashi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "issuer_9999_broken.sql"
    broken.write_text("ALTER TABLE nowhere ADD COLUMN x text;")
    files = migrations_of("issuer")
    monkeypatch.setattr(console_migrations, "migrations_of", lambda _: (*files, broken))

    done = akashi("migrate", "issuer")

    assert done.exit_code == 1
    said = 'issuer, issuer_9999_broken.sql was not applied: UndefinedTableError, relation "nowhere" does not exist.\n'
    assert done.stderr == said


@pytest.mark.parametrize(
    ("add", "place", "subject"),
    [
        (("add-contractor", "--id", "shimotsuke", *COMPANY), ("intake", "contractor", "applications"), "shimotsuke"),
        (("add-staff", "--surety", "toto"), ("issuer", "desk", "desk"), "toto"),
        (("add-purchaser", "--purchaser", "tochigi"), ("registry", "purchaser", "lookup"), "tochigi"),
    ],
)
def test_an_account_gets_a_token_that_lets_its_person_in(
    akashi, ready: Stack, add: tuple[str, ...], place: tuple[str, str, str], subject: str
) -> None:
    service, role, scope = place
    account = akashi("accounts", *add, "--person", "髙橋　花子").stdout.strip()
    issued = akashi("tokens", "issue", "--account", account, "--days", "2", "--label", "test")
    token = issued.stdout.strip()

    principal = asyncio.run(let_in(ready, service, token, role, scope))

    assert (principal.account_id, principal.subject_id, principal.person) == (UUID(account), subject, "髙橋　花子")
    listed = akashi("tokens", "list", "--json").stdout
    assert token not in listed
    assert account in listed

    assert akashi("tokens", "revoke", "--account", account).exit_code == 0
    with pytest.raises(WebProblem):
        asyncio.run(let_in(ready, service, token, role, scope))
    assert akashi("tokens", "revoke", "--account", account).exit_code == 1


def test_one_token_can_be_revoked_and_the_other_stays(akashi, ready: Stack) -> None:
    account = akashi("accounts", "add-staff", "--surety", "nankai", "--person", "甲").stdout.strip()
    lost, kept = (akashi("tokens", "issue", "--account", account, "--label", label).stdout.strip() for label in "ab")
    listed = json.loads(akashi("tokens", "list", "--json").stdout)
    (short,) = (token["token"] for token in listed if token["account"] == account and token["label"] == "a")

    assert akashi("tokens", "revoke", "--token", short).exit_code == 0

    with pytest.raises(WebProblem):
        asyncio.run(let_in(ready, "issuer", lost, "desk", "desk"))
    assert asyncio.run(let_in(ready, "issuer", kept, "desk", "desk")).subject_id == "nankai"


def test_a_disabled_account_gets_no_token_and_its_tokens_let_nobody_in(akashi, ready: Stack) -> None:
    account = akashi("accounts", "add-purchaser", "--purchaser", "omitama", "--person", "乙").stdout.strip()
    token = akashi("tokens", "issue", "--account", account).stdout.strip()

    assert akashi("accounts", "disable", account).exit_code == 0
    assert akashi("accounts", "disable", account).exit_code == 0

    with pytest.raises(WebProblem):
        asyncio.run(let_in(ready, "registry", token, "purchaser", "lookup"))
    for command in (("tokens", "issue", "--account"), ("accounts", "set-password"), ("accounts", "remove-code")):
        login = ("--login", "otsu-no-login") if "set-password" in command else ()
        assert "is disabled" in akashi(*command, account, *login).stderr
    (listed,) = (one for one in json.loads(akashi("accounts", "list", "--json").stdout) if one["id"] == account)
    assert listed["disabled_at"] is not None


def test_a_log_in_is_one_accounts_and_its_password_can_be_set_again(akashi) -> None:
    one, other = (
        akashi("accounts", "add-purchaser", "--purchaser", "omitama", "--person", person).stdout.strip()
        for person in "丁戊"
    )

    done = [akashi("accounts", "set-password", who, "--login", "omitama-tei") for who in (one, one, other)]

    assert [each.exit_code for each in done] == [0, 0, 1]
    assert "is taken" in done[-1].stderr


async def rows_of(stack: Stack, account: str) -> tuple[bool, int]:
    """Whether a code is asked for, and how many browsers are signed in."""
    async with store.connect(stack, "registry") as connection:
        has_code = await connection.fetchval(
            "SELECT totp_ciphertext IS NOT NULL FROM sign_in WHERE account_id = $1", UUID(account)
        )
        return has_code, await connection.fetchval("SELECT count(*) FROM session WHERE account_id = $1", UUID(account))


async def sign_in_with_a_code(stack: Stack, account: str) -> None:
    now = SystemClock().now()
    async with store.connect(stack, "registry") as connection:
        await connection.execute(sessions.UPDATE_TOTP, UUID(account), b"nonce", b"secret", now)
        await sessions.begin(connection, UUID(account), code_due=False, browser="test", now=now)


def test_who_lost_their_code_is_let_in_without_by_the_operator_and_signed_out_everywhere(akashi, ready: Stack) -> None:
    account = akashi("accounts", "add-purchaser", "--purchaser", "omitama", "--person", "丙").stdout.strip()
    assert "has no log-in" in akashi("accounts", "remove-code", account).stderr
    akashi("accounts", "set-password", account, "--login", "omitama-hei")
    asyncio.run(sign_in_with_a_code(ready, account))
    assert asyncio.run(rows_of(ready, account)) == (True, 1)

    done = akashi("accounts", "remove-code", account)

    assert done.exit_code == 0
    assert asyncio.run(rows_of(ready, account)) == (False, 0)


def test_a_contractor_has_several_people(akashi) -> None:
    first = akashi("accounts", "add-contractor", "--id", "kinugawa", *COMPANY, "--person", "甲")
    again = akashi("accounts", "add-contractor", "--id", "kinugawa", *COMPANY, "--person", "乙")
    short = akashi("accounts", "add-contractor", "--id", "kinugawa", "--person", "丙")

    assert [done.exit_code for done in (first, again, short)] == [0, 0, 0]
    people = json.loads(akashi("accounts", "list", "--json").stdout)
    assert [one["person"] for one in people if one["subject"] == "kinugawa"] == ["甲", "乙", "丙"]


def test_a_contractor_is_not_registered_over_another(akashi) -> None:
    akashi("accounts", "add-contractor", "--id", "nasu", *COMPANY, "--person", "甲")
    other = (*COMPANY[:1], "那須建設", *COMPANY[2:])

    refused = akashi("accounts", "add-contractor", "--id", "nasu", *other, "--person", "乙")

    assert refused.exit_code == 1
    assert "registered otherwise" in refused.stderr
    assert "乙" not in [
        one["person"] for one in json.loads(akashi("accounts", "list", "--json").stdout) if one["subject"] == "nasu"
    ]


def test_a_contractor_that_is_not_registered_needs_all_of_it(akashi) -> None:
    refused = akashi("accounts", "add-contractor", "--id", "nobody-yet", "--person", "甲")

    assert refused.exit_code == 1
    assert "--representative" in refused.stderr


def test_an_account_that_is_nowhere_is_not_found(akashi) -> None:
    nowhere = "018f0000-0000-7000-8000-000000000000"

    assert f"no account {nowhere}" in akashi("tokens", "issue", "--account", nowhere).stderr
    assert "in issuer" in akashi("tokens", "issue", "--account", nowhere, "--service", "issuer").stderr


def test_people_read_tables(akashi) -> None:
    akashi("accounts", "add-contractor", "--id", "table", *COMPANY, "--person", "表　太郎")

    shown = akashi("accounts", "list").stdout

    assert "表　太郎" in shown
    assert "subject" in shown
