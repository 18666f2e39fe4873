"""Who gets in, who does not, and what a stranger can learn from trying."""

import re
from collections.abc import AsyncIterator
from datetime import timedelta

import pyotp
import pytest
from prometheus_client import REGISTRY

from chassis.web import sessions
from chassis.web.passwords import STEP_SECONDS
from tests.support.browser import PASSWORD
from tests.support.databases import Databases
from tests.support.keys import Keyring
from tests.support.pages import Reader, let_in, reader, signed_in
from tests.support.services import Site, answering, build, make_service

HOME = "/contractor/toto/"
_SECRET = re.compile(r"<code>([A-Z2-7]+)</code>")
WRONG = "お客様IDまたはパスワードが正しくありません。"


async def _contractor(intake: Site, login: str = "takasaki") -> Reader:
    return await signed_in(intake, await intake.contractor(), login)


async def test_who_is_not_signed_in_is_sent_to_the_log_in_and_comes_back(intake: Site) -> None:
    await let_in(intake, await intake.contractor(), "takasaki")
    stranger = reader(intake)

    await stranger.get(HOME)
    assert stranger.path == "/contractor/sign-in"
    assert f'name="next" value="{HOME}"' in stranger.text
    await stranger.post("/contractor/sign-in", {"login": "takasaki", "password": PASSWORD, "next": HOME})

    assert (stranger.path, stranger.status) == (HOME, 200)


@pytest.mark.parametrize(
    "elsewhere",
    ["https://evil.example/", "//evil.example/", "/contractor/\\evil.example", "/contractor//evil", "/x", "//[", "["],
)
async def test_nobody_is_sent_to_another_site_after_signing_in(intake: Site, elsewhere: str) -> None:
    await let_in(intake, await intake.contractor(), "takasaki")
    stranger = reader(intake)

    await stranger.sign_in("takasaki", next=elsewhere)

    assert stranger.path == "/contractor/"


@pytest.mark.parametrize("page", ["language/en", "sign-in"])
async def test_an_address_that_is_none_leads_home(intake: Site, page: str) -> None:
    contractor = await _contractor(intake)

    await contractor.get(f"/contractor/{page}?next=//[")

    assert (contractor.path, contractor.status) == ("/contractor/", 200)


async def test_a_script_is_sent_on_to_an_address_in_any_script(intake: Site) -> None:
    contractor = await _contractor(intake)

    sent = await contractor.http.get(
        "/contractor/sign-in", params={"next": "/contractor/あ"}, headers={"HX-Request": "1"}
    )

    assert (sent.status_code, sent.headers["hx-redirect"]) == (204, "/contractor/%E3%81%82")


async def test_an_unknown_log_in_and_a_wrong_password_read_the_same(intake: Site) -> None:
    await let_in(intake, await intake.contractor(), "takasaki")
    stranger = reader(intake)

    answers = [await stranger.sign_in(login, "wrong-password") for login in ("takasaki", "not-there")]

    assert [answer.status for answer in answers] == [422, 422]
    assert WRONG in stranger.text
    assert "wrong-password" not in stranger.text


async def test_too_many_failures_are_told_and_shut_nobody_else_out(intake: Site) -> None:
    await let_in(intake, await intake.contractor(), "takasaki")
    await let_in(intake, await intake.person("takasaki"), "another")
    stranger = reader(intake)
    for _ in range(sessions.PER_LOGIN):
        await stranger.sign_in("takasaki", "wrong-password")

    await stranger.sign_in("takasaki")

    assert stranger.status == 429
    assert int(stranger.headers["retry-after"]) > 0
    assert "しばらくログインできません" in stranger.text
    assert (await reader(intake).sign_in("another")).status == 200


async def test_a_right_password_is_not_counted_as_a_failure(intake: Site) -> None:
    await let_in(intake, await intake.contractor(), "takasaki")

    for _ in range(sessions.PER_LOGIN + 2):
        assert (await reader(intake).sign_in("takasaki")).status == 200


async def test_a_cookie_from_before_signing_in_opens_nothing_afterwards(intake: Site) -> None:
    await let_in(intake, await intake.contractor(), "takasaki")
    planted = reader(intake)
    await planted.get("/contractor/sign-in")
    (name, before), *_ = planted.http.cookies.items()

    await planted.sign_in("takasaki")

    assert planted.http.cookies[name] != before
    thief = reader(intake)
    thief.http.cookies.set(name, before)
    assert (await thief.get(HOME)).path == "/contractor/sign-in"


async def test_signing_in_anew_ends_the_session_that_the_browser_had(intake: Site) -> None:
    contractor = await _contractor(intake)
    cookies = dict(contractor.http.cookies)
    await let_in(intake, await intake.person("takasaki"), "another")
    await contractor.get("/contractor/account")

    await contractor.post("/contractor/sign-in", {"login": "another", "password": PASSWORD})

    assert "another" in (await contractor.get("/contractor/account")).text
    thief = reader(intake)
    thief.http.cookies.update(cookies)
    assert (await thief.get(HOME)).path == "/contractor/sign-in"


async def test_a_cookie_is_for_https_and_for_no_script(intake: Site) -> None:
    stranger = reader(intake)

    await stranger.get("/contractor/sign-in")

    cookie = stranger.headers["set-cookie"]
    assert cookie.startswith("__Host-akashi_contractor=")
    assert {"HttpOnly", "Secure", "SameSite=lax", "Path=/"} <= set(cookie.split("; "))


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://["},
    ],
)
async def test_a_form_from_another_site_is_refused(intake: Site, headers: dict[str, str]) -> None:
    contractor = await _contractor(intake)
    await contractor.get("/contractor/account")

    await contractor.post("/contractor/account/sign-out-others", None, **headers)

    assert contractor.status == 403


@pytest.mark.parametrize("field", ["login", "next", "unknown", "password"])
async def test_what_postgresql_takes_in_no_text_is_no_form(intake: Site, field: str) -> None:
    stranger = reader(intake)

    await stranger.get("/contractor/sign-in")
    await stranger.post("/contractor/sign-in", {"login": "takasaki", field: "\0"})

    assert stranger.status == 400


@pytest.mark.parametrize("address", ["/contractor/%00/", "/contractor/toto/guarantees?works=%00", "/contractor/?%00"])
async def test_an_address_with_what_postgresql_takes_in_no_text_is_nobodys(intake: Site, address: str) -> None:
    contractor = await _contractor(intake)

    assert (await contractor.get(address)).status == 404


@pytest.mark.parametrize("csrf", ["", "0" * 64])
async def test_a_form_without_its_token_is_refused(intake: Site, csrf: str) -> None:
    contractor = await _contractor(intake)

    await contractor.post("/contractor/account/sign-out-others", {"csrf": csrf})

    assert contractor.status == 403
    assert "画面の有効期限が切れています" in contractor.text


async def test_a_token_of_one_browser_is_none_in_another(intake: Site) -> None:
    one = await _contractor(intake)
    other = await signed_in(intake, await intake.person("takasaki"), "another")
    await one.get("/contractor/account")
    await other.get("/contractor/account")

    found = re.search(r'name="csrf" value="([0-9a-f]{64})"', one.text)
    assert found is not None
    await other.post("/contractor/sign-out", {"csrf": found.group(1)})

    assert other.status == 403


async def test_a_session_ends_when_it_is_left_alone_and_after_a_day(intake: Site) -> None:
    contractor = await _contractor(intake)
    await intake.pool.execute(
        "UPDATE session SET seen_at = seen_at - $1::interval", sessions.IDLE + timedelta(seconds=1)
    )
    assert (await contractor.get(HOME)).path == "/contractor/sign-in"

    await contractor.sign_in("takasaki")
    await intake.pool.execute("UPDATE session SET began_at = began_at - $1::interval", sessions.LONGEST)
    assert (await contractor.get(HOME)).path == "/contractor/sign-in"


async def test_a_session_begun_by_a_clock_that_ran_far_ahead_is_none(intake: Site) -> None:
    contractor = await _contractor(intake)
    later = "UPDATE session SET began_at = began_at + $1::interval, seen_at = seen_at + $1::interval"

    await intake.pool.execute(later, timedelta(hours=3))
    assert (await contractor.get(HOME)).path == HOME
    await intake.pool.execute(later, timedelta(days=400))

    assert (await contractor.get(HOME)).path == "/contractor/sign-in"


async def test_failures_counted_by_a_clock_that_ran_far_ahead_shut_nobody_out(intake: Site) -> None:
    await let_in(intake, await intake.contractor(), "takasaki")
    stranger = reader(intake)
    for _ in range(sessions.PER_LOGIN + 1):
        await stranger.sign_in("takasaki", "wrong-password")
    assert stranger.status == 429
    later = "UPDATE sign_in_attempt SET window_began = window_began + $1::interval"

    await intake.pool.execute(later, sessions.WINDOW / 2)
    assert (await stranger.sign_in("takasaki")).status == 429
    await intake.pool.execute(later, timedelta(days=400))

    assert (await stranger.sign_in("takasaki")).status == 200


async def test_a_count_is_gone_some_time_after_its_window_though_nobody_signs_in(intake: Site) -> None:
    stranger = reader(intake)
    for n in range(3):
        await stranger.sign_in(f"not-there-{n}", "wrong-password")
    age = "UPDATE sign_in_attempt SET window_began = window_began + $1::interval WHERE subject <> ALL($2::bytea[])"
    long_ago, far_ahead = [
        row["subject"] for row in await intake.pool.fetch("SELECT subject FROM sign_in_attempt LIMIT 2")
    ]
    await intake.pool.execute(age, -sessions.WINDOW, [far_ahead])
    await intake.pool.execute(age, timedelta(days=400), [long_ago])

    await stranger.sign_in("another", "wrong-password")

    (left,) = await intake.pool.fetch("SELECT count(*) FROM sign_in_attempt")
    assert left["count"] == len(sessions.attempt_subjects("127.0.0.1", "another"))


async def test_no_attempt_forgets_more_counts_than_it_can_wait_for(intake: Site) -> None:
    counts = (
        "INSERT INTO sign_in_attempt SELECT int4send(n), now() - interval '1 day', 1 FROM generate_series(1, 100) n"
    )
    await intake.pool.execute(counts)

    await reader(intake).sign_in("not-there", "wrong-password")

    left = await intake.pool.fetchval(
        "SELECT count(*) FROM sign_in_attempt WHERE window_began < now() - interval '1 hour'"
    )
    assert left == 100 - sessions.MOST_FORGOTTEN


async def test_an_address_that_is_shut_out_leaves_no_row_for_each_name_that_it_tries(intake: Site) -> None:
    stranger = reader(intake)
    for n in range(sessions.PER_ADDRESS):
        await stranger.sign_in(f"not-there-{n}", "wrong-password")
    counted = await intake.pool.fetchval("SELECT count(*) FROM sign_in_attempt")

    await stranger.sign_in("one-more", "wrong-password")

    assert stranger.status == 429
    assert await intake.pool.fetchval("SELECT count(*) FROM sign_in_attempt") == counted


async def test_signing_out_ends_the_session_itself(intake: Site) -> None:
    contractor = await _contractor(intake)
    cookies = dict(contractor.http.cookies)
    await contractor.get(HOME)

    await contractor.post("/contractor/sign-out")

    thief = reader(intake)
    thief.http.cookies.update(cookies)
    assert (await thief.get(HOME)).path == "/contractor/sign-in"


async def test_a_disabled_account_is_out_at_once(intake: Site) -> None:
    contractor = await _contractor(intake)
    await intake.pool.execute("UPDATE account SET disabled_at = now()")

    assert (await contractor.get(HOME)).path == "/contractor/sign-in"
    assert WRONG in (await contractor.sign_in("takasaki")).text


async def test_a_first_password_must_be_changed_before_anything_else(intake: Site) -> None:
    await let_in(intake, await intake.contractor(), "takasaki", must_change=True)
    contractor = await reader(intake).sign_in("takasaki")
    assert contractor.path == "/contractor/account/password"

    await contractor.post(
        "/contractor/account/password", {"old": PASSWORD, "new": "atarashii-mihon-1", "again": "atarashii-mihon-1"}
    )

    assert (await contractor.get(HOME)).path == HOME


async def test_a_first_password_runs_out_and_says_so_to_who_knows_it(intake: Site) -> None:
    await let_in(intake, await intake.contractor(), "takasaki", must_change=True)
    await intake.pool.execute(
        "UPDATE sign_in SET changed_at = changed_at - $1::interval", sessions.FIRST_PASSWORD + timedelta(minutes=1)
    )

    knows = await reader(intake).sign_in("takasaki")
    guesses = await reader(intake).sign_in("takasaki", "wrong-password")

    assert knows.status == guesses.status == 422
    assert "有効期限（14日）が過ぎました" in knows.text
    assert "有効期限" not in guesses.text


async def test_an_own_password_does_not_run_out(intake: Site) -> None:
    await let_in(intake, await intake.contractor(), "takasaki")
    await intake.pool.execute("UPDATE sign_in SET changed_at = changed_at - interval '400 days'")

    assert (await (await reader(intake).sign_in("takasaki")).get(HOME)).path == HOME


async def test_a_changed_password_signs_every_other_browser_out(intake: Site) -> None:
    contractor = await _contractor(intake)
    other = await reader(intake).sign_in("takasaki")
    new = "atarashii-mihon-1"
    await contractor.get("/contractor/account/password")

    await contractor.post("/contractor/account/password", {"old": PASSWORD, "new": new, "again": new})

    assert "パスワードを変更しました" in contractor.text
    assert (await other.get(HOME)).path == "/contractor/sign-in"
    assert WRONG in (await other.sign_in("takasaki")).text
    assert (await other.sign_in("takasaki", new)).status == 200


async def test_one_account_shuts_no_other_out_of_changing_a_password(intake: Site) -> None:
    contractor = await _contractor(intake)
    other = await signed_in(intake, await intake.person("takasaki"), "another")
    new = {"new": "atarashii-mihon-1", "again": "atarashii-mihon-1"}
    await contractor.get("/contractor/account/password")
    for _ in range(sessions.PER_ADDRESS + 1):
        await contractor.post("/contractor/account/password", {"old": "wrong-password", **new})

    await contractor.post("/contractor/account/password", {"old": PASSWORD, **new})
    await other.get("/contractor/account/password")
    await other.post("/contractor/account/password", {"old": PASSWORD, **new})

    assert "しばらく" in contractor.text
    assert "パスワードを変更しました" in other.text


@pytest.mark.parametrize(
    ("old", "new", "again", "said"),
    [
        ("wrong-password", "atarashii-mihon-1", "atarashii-mihon-1", "現在のパスワードが正しくありません。"),
        (PASSWORD, "short", "short", "12文字以上128文字以内"),
        (PASSWORD, "takasaki-takasaki", "takasaki-takasaki", "推測されやすい"),
        (PASSWORD, "Password!2024", "Password!2024", "推測されやすい"),
        (PASSWORD, "atarashii-mihon-1", "atarashii-mihon-2", "一致しません"),
        (PASSWORD, PASSWORD, PASSWORD, "現在と同じ"),
    ],
)
async def test_a_password_is_not_changed_without_a_reason_told(
    intake: Site, old: str, new: str, again: str, said: str
) -> None:
    contractor = await _contractor(intake)
    await contractor.get("/contractor/account/password")

    await contractor.post("/contractor/account/password", {"old": old, "new": new, "again": again})

    assert contractor.status == 422
    assert said in contractor.text
    assert (await reader(intake).sign_in("takasaki")).status == 200


async def test_one_browser_can_be_signed_out_from_another(intake: Site) -> None:
    contractor = await _contractor(intake)
    other = await reader(intake).sign_in("takasaki")
    await contractor.get("/contractor/account")
    (short,) = re.findall(r'name="browser" value="([0-9a-f]{16})"', contractor.text)

    await contractor.post("/contractor/account/sign-out-one", {"browser": short})

    assert (await other.get(HOME)).path == "/contractor/sign-in"
    assert (await contractor.get(HOME)).path == HOME


async def test_nobody_signs_anothers_browser_out(intake: Site) -> None:
    contractor = await _contractor(intake)
    short = await intake.pool.fetchval("SELECT left(encode(sha256, 'hex'), 16) FROM session")
    other = await signed_in(intake, await intake.person("takasaki"), "another")
    await other.get("/contractor/account")

    await other.post("/contractor/account/sign-out-one", {"browser": short})

    assert other.status == 200
    assert (await contractor.get(HOME)).path == HOME


async def _with_code(registry: Site, login: str = "tochigi-mihon") -> tuple[Reader, pyotp.TOTP]:
    """A purchaser who has set codes up, and the app that shows them."""
    purchaser = await signed_in(registry, await registry.person("tochigi"), login)
    app = await _drawn(purchaser)
    await purchaser.post("/purchaser/account/code", {"code": app.at(_now(registry))})
    assert "確認コードを設定しました" in purchaser.text
    return purchaser, app


async def _drawn(purchaser: Reader) -> pyotp.TOTP:
    """An app that has read what the page shows after the password."""
    await purchaser.get("/purchaser/account/code")
    await purchaser.post("/purchaser/account/code", {"password": PASSWORD})
    found = _SECRET.search(purchaser.text)
    assert found is not None
    assert "<svg" in purchaser.text
    return pyotp.TOTP(found.group(1))


def _now(site: Site) -> int:
    return int(site.service.runtime.clock.now().timestamp())


async def test_with_codes_a_password_alone_opens_nothing(registry: Site) -> None:
    await _with_code(registry)

    half = await reader(registry).sign_in("tochigi-mihon")

    assert half.path == "/purchaser/sign-in/code"
    assert (await half.get("/purchaser/")).path == "/purchaser/sign-in/code"


async def test_a_code_lets_in_once(registry: Site) -> None:
    _, app = await _with_code(registry)
    code = app.at(_now(registry) + STEP_SECONDS)

    first = await reader(registry).sign_in("tochigi-mihon")
    await first.post("/purchaser/sign-in/code", {"code": code, "next": ""})
    second = await reader(registry).sign_in("tochigi-mihon")
    await second.post("/purchaser/sign-in/code", {"code": code, "next": ""})

    assert first.path == "/purchaser/"
    assert second.status == 422


async def test_codes_cannot_be_tried_through(registry: Site) -> None:
    await _with_code(registry)
    half = await reader(registry).sign_in("tochigi-mihon")

    statuses = [
        (await half.post("/purchaser/sign-in/code", {"code": f"{n:06d}", "next": ""})).status
        for n in range(sessions.PER_LOGIN + 1)
    ]

    assert statuses == [422] * sessions.PER_LOGIN + [429]


async def test_one_account_shuts_no_other_out_of_entering_a_code(registry: Site) -> None:
    await _with_code(registry)
    _, app = await _with_code(registry, "oyama-mihon")
    half = await reader(registry).sign_in("tochigi-mihon")
    for n in range(sessions.PER_ADDRESS + 1):
        await half.post("/purchaser/sign-in/code", {"code": f"{n:06d}", "next": ""})
    assert half.status == 429

    other = await reader(registry).sign_in("oyama-mihon")
    await other.post("/purchaser/sign-in/code", {"code": app.at(_now(registry) + STEP_SECONDS), "next": ""})

    assert other.path == "/purchaser/"


async def test_a_code_is_not_set_up_without_the_password(registry: Site) -> None:
    purchaser = await signed_in(registry, await registry.person("tochigi"), "tochigi-mihon")

    assert _SECRET.search((await purchaser.get("/purchaser/account/code")).text) is None
    await purchaser.post("/purchaser/account/code", {"password": "wrong-password"})

    assert purchaser.status == 422
    assert "現在のパスワードが正しくありません。" in purchaser.text
    assert _SECRET.search(purchaser.text) is None
    assert await registry.pool.fetchval("SELECT totp_ciphertext FROM sign_in") is None


async def test_the_secret_of_codes_is_shown_once_and_is_another_each_time(registry: Site) -> None:
    purchaser = await signed_in(registry, await registry.person("tochigi"), "tochigi-mihon")
    abandoned = await _drawn(purchaser)

    pages = [(await purchaser.post("/purchaser/account/code", {"code": "000000"})).text]
    pages += [(await purchaser.get(f"/purchaser/account/code{rest}")).text for rest in ("", ".svg")]

    assert not [page for page in pages if abandoned.secret in page or "<svg" in page]
    app = await _drawn(purchaser)
    assert app.secret != abandoned.secret
    await purchaser.post("/purchaser/account/code", {"code": app.at(_now(registry))})
    assert "確認コードを設定しました" in purchaser.text


async def test_who_has_a_code_keeps_it_when_another_is_asked_for(registry: Site) -> None:
    purchaser, app = await _with_code(registry)

    await purchaser.get("/purchaser/account")
    await purchaser.post("/purchaser/account/code", {"password": PASSWORD})

    assert "確認コードは設定済みです。" in purchaser.text
    half = await reader(registry).sign_in("tochigi-mihon")
    assert half.path == "/purchaser/sign-in/code"
    code = app.at(_now(registry) + STEP_SECONDS)
    assert (await half.post("/purchaser/sign-in/code", {"code": code})).path == "/purchaser/"


@pytest.mark.parametrize(
    ("place", "field"), [("code", "password"), ("code/remove", "password"), ("password", "old")], ids=lambda part: part
)
async def test_an_own_password_cannot_be_tried_through(registry: Site, place: str, field: str) -> None:
    remove = place == "code/remove"
    login = "tochigi-mihon"
    purchaser = (
        (await _with_code(registry))[0] if remove else await signed_in(registry, await registry.person("t"), login)
    )
    new = {"new": "atarashii-mihon-1", "again": "atarashii-mihon-1"}
    await purchaser.get("/purchaser/account")
    for _ in range(sessions.PER_LOGIN):
        await purchaser.post(f"/purchaser/account/{place}", {field: "wrong-password", **new})
    assert "現在のパスワードが正しくありません。" in purchaser.text
    before = await registry.pool.fetchrow("SELECT * FROM sign_in")

    await purchaser.post(f"/purchaser/account/{place}", {field: PASSWORD, **new})

    assert "しばらく操作できません" in purchaser.text
    assert await registry.pool.fetchrow("SELECT * FROM sign_in") == before


async def test_an_own_password_is_counted_wherever_it_is_asked_for(registry: Site) -> None:
    purchaser = await signed_in(registry, await registry.person("tochigi"), "tochigi-mihon")
    await purchaser.get("/purchaser/account")
    places = [("code", "password"), ("code/remove", "password"), ("password", "old")] * 2

    for place, field in places:
        await purchaser.post(f"/purchaser/account/{place}", {field: "wrong-password"})

    assert len(places) == sessions.PER_LOGIN + 1
    assert "しばらく操作できません" in purchaser.text


@pytest.fixture
async def strict_registry(databases: Databases, keys: Keyring) -> AsyncIterator[Site]:
    """Where nobody does anything without a code."""
    await databases.fresh("registry")
    async with answering(build(make_service("registry", databases, keys, codes_required=True))) as site:
        yield site


@pytest.mark.parametrize("page", ["", "views", "account", "certificates/31072-000012"])
async def test_where_codes_are_required_one_is_set_up_before_anything_else(strict_registry: Site, page: str) -> None:
    purchaser = await signed_in(strict_registry, await strict_registry.person("tochigi"), "tochigi-mihon")

    await purchaser.get(f"/purchaser/{page}")
    assert purchaser.path == "/purchaser/account/code"
    assert "ログインには確認コードが必要です。" in purchaser.text
    app = await _drawn(purchaser)
    await purchaser.post("/purchaser/account/code", {"code": app.at(_now(strict_registry))})

    assert "確認コードを設定しました" in purchaser.text
    assert (await purchaser.get("/purchaser/")).path == "/purchaser/"


async def test_where_codes_are_required_a_removed_one_is_replaced_before_anything_else(strict_registry: Site) -> None:
    purchaser, _ = await _with_code(strict_registry)
    await purchaser.get("/purchaser/account")

    await purchaser.post("/purchaser/account/code/remove", {"password": PASSWORD})

    assert purchaser.path == "/purchaser/account/code"
    assert (await purchaser.get("/purchaser/")).path == "/purchaser/account/code"


async def test_wrong_passwords_and_codes_are_counted(registry: Site) -> None:
    before = {(of, why): _wrong(of, why) for of in ("password", "code") for why in ("wrong", "too_often")}
    await _with_code(registry)
    half = await reader(registry).sign_in("tochigi-mihon")

    for n in range(sessions.PER_LOGIN + 2):
        await half.post("/purchaser/sign-in/code", {"code": f"{n:06d}", "next": ""})
        await reader(registry).sign_in("tochigi-mihon", "wrong-password")

    grown = {each: _wrong(*each) - count for each, count in before.items()}
    assert grown == {
        ("password", "wrong"): sessions.PER_LOGIN,
        ("password", "too_often"): 2,
        ("code", "wrong"): sessions.PER_LOGIN,
        ("code", "too_often"): 2,
    }


def _wrong(of: str, why: str) -> float:
    return REGISTRY.get_sample_value("akashi_wrong_secrets_total", {"of": of, "why": why}) or 0.0


async def test_a_code_that_the_service_cannot_open_any_more_is_a_wrong_one(registry: Site) -> None:
    _, app = await _with_code(registry)
    await registry.pool.execute("UPDATE sign_in SET totp_ciphertext = sha256(totp_ciphertext)")
    half = await reader(registry).sign_in("tochigi-mihon")

    await half.post("/purchaser/sign-in/code", {"code": app.at(_now(registry) + STEP_SECONDS), "next": ""})

    assert half.status == 422
    assert "コードが正しくありません。" in half.text


async def test_the_secret_of_codes_is_sealed_in_the_database(registry: Site) -> None:
    _, app = await _with_code(registry)

    sealed = await registry.pool.fetchval("SELECT totp_ciphertext FROM sign_in")

    assert app.secret.encode() not in sealed


async def test_a_problem_is_a_page_for_people_and_a_document_for_programs(intake: Site) -> None:
    contractor = await _contractor(intake)

    page = await contractor.get("/contractor/not-there/")
    document = await intake.http.get("/api/not-there")

    assert (page.status, page.headers["content-type"]) == (404, "text/html; charset=utf-8")
    assert "ページが見つかりません" in page.text
    assert document.headers["content-type"] == "application/problem+json"


async def test_a_page_can_be_read_in_english(intake: Site) -> None:
    contractor = await _contractor(intake)

    await contractor.get("/contractor/language/en?next=/contractor/account")

    assert contractor.path == "/contractor/account"
    assert '<html lang="en">' in contractor.text
    assert "Browsers signed in" in contractor.text


async def test_files_are_kept_for_good_under_an_address_that_tells_their_contents(intake: Site) -> None:
    stranger = await reader(intake).get("/contractor/sign-in")
    (address,) = re.findall(r'href="(/static/akashi\.css\?v=[0-9a-f]{12})"', stranger.text)

    assert "immutable" in (await stranger.get(address)).headers["cache-control"]
    assert (await stranger.get("/static/../pages.py")).status == 404
