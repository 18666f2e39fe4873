"""KEY-6 to KEY-10, WHO-10 on the pages: a certificate is open in the browser that gave number and key, for a while."""

import asyncio
from functools import partial

import pytest

from chassis.postgres import transaction
from chassis.web import sessions
from chassis.web.tokens import DISABLE_ACCOUNT
from services.registry import store
from tests.integration.registry.conftest import KEY, PLACE, WAITING, WRONG
from tests.support.builders import a_contract_number
from tests.support.clock import NOON
from tests.support.waiting import eventually

PER_NUMBER = 5
FILES = ("", "/certificate.pdf", "/versions/1", "/versions/1/certificate.pdf", "/receipt.pdf")


async def test_number_and_key_lead_to_the_certificate(certificate, at_tochigi, texts):
    answer = await at_tochigi.look_up(certificate.contract_number)

    assert (answer.status_code, answer.headers["location"]) == (303, f"{PLACE}/{certificate.contract_number}")
    page = await at_tochigi.get(answer.headers["location"])
    assert "県道見本線道路改良工事" in texts(page)
    assert "栃木県知事" in texts(page)
    assert certificate.content_sha256 in texts(page)


@pytest.mark.parametrize("rest", FILES)
async def test_nothing_of_a_certificate_is_to_be_had_without_the_key(rest, certificate, at_tochigi):
    assert not await at_tochigi.has_open(certificate.contract_number, rest)


@pytest.mark.parametrize("rest", FILES)
async def test_once_opened_everything_of_it_is_to_be_had(rest, certificate, at_tochigi):
    await at_tochigi.look_up(certificate.contract_number)

    assert await at_tochigi.has_open(certificate.contract_number, rest)


async def test_what_is_open_says_nothing_about_what_is_not(certificate, at_tochigi, issue):
    other = await issue()
    await at_tochigi.look_up(certificate.contract_number)

    assert not await at_tochigi.has_open(other.contract_number)
    assert not await at_tochigi.has_open(a_contract_number())


async def test_a_colleague_has_to_type_the_key(certificate, at_tochigi, registry, window):
    await at_tochigi.look_up(certificate.contract_number)
    colleague = await window(await registry.person("tochigi"))

    assert not await colleague.has_open(certificate.contract_number)
    assert await colleague.opens(certificate.contract_number)


async def test_the_same_person_in_another_browser_has_to_type_the_key(certificate, at_tochigi, tochigi, window):
    await at_tochigi.look_up(certificate.contract_number)

    assert not await (await window(tochigi)).has_open(certificate.contract_number)


@pytest.mark.parametrize("rest", FILES)
async def test_another_purchaser_learns_nothing_even_with_the_right_key(
    rest, certificate, at_tochigi, registry, window
):
    await at_tochigi.look_up(certificate.contract_number)
    omitama = await window(await registry.person("omitama"))

    answer = await omitama.look_up(certificate.contract_number)

    assert answer.status_code == 404
    assert "県道見本線" not in answer.text
    assert not await omitama.has_open(certificate.contract_number, rest)


async def test_an_opened_state_that_was_moved_to_another_session_opens_nothing(
    certificate, at_tochigi, registry, window
):
    await at_tochigi.look_up(certificate.contract_number)
    for subject in ("omitama", "tochigi"):
        thief = await window(await registry.person(subject))
        await registry.pool.execute("UPDATE opened_certificate SET session_sha256 = $1", sessions.digest(thief.token))

        assert not await thief.has_open(certificate.contract_number)


async def test_a_made_up_session_is_asked_to_sign_in_and_comes_back(certificate, at_tochigi, registry):
    await at_tochigi.look_up(certificate.contract_number)
    at_tochigi.token = sessions.draw_token()

    answer = await at_tochigi.get(f"{PLACE}/{certificate.contract_number}/receipt.pdf")

    assert answer.status_code == 303
    assert answer.headers["location"] == f"/purchaser/sign-in?next={PLACE}/{certificate.contract_number}/receipt.pdf"


async def test_the_number_of_the_code_survives_signing_in(at_tochigi):
    at_tochigi.token = ""
    answer = await at_tochigi.get(f"{PLACE}?number=10226-00001A")

    assert answer.headers["location"] == f"/purchaser/sign-in?next={PLACE}%3Fnumber%3D10226-00001A"


async def test_after_signing_out_nothing_is_open(certificate, at_tochigi, tochigi, registry, window):
    await at_tochigi.look_up(certificate.contract_number)
    await at_tochigi.post("/purchaser/sign-out", {})

    assert "/sign-in" in (await at_tochigi.get(f"{PLACE}/{certificate.contract_number}")).headers["location"]
    assert not await (await window(tochigi)).has_open(certificate.contract_number)
    assert await registry.pool.fetchval("SELECT count(*) FROM opened_certificate") == 0


async def test_who_signed_out_meanwhile_opens_nothing(certificate, at_tochigi, registry):
    await at_tochigi.look_up(certificate.contract_number)
    view_id = await registry.pool.fetchval("DELETE FROM opened_certificate RETURNING view_id")
    async with transaction(registry.pool) as tx:
        await store.open_for_session(tx, bytes(32), certificate.contract_number, view_id, NOON)

    assert await registry.pool.fetchval("SELECT count(*) FROM opened_certificate") == 0


async def test_who_signs_out_while_looking_up_opens_nothing_and_sees_no_fault(certificate, at_tochigi, registry):
    async with transaction(registry.pool) as tx:
        await tx.execute("DELETE FROM session")
        looking = asyncio.create_task(at_tochigi.look_up(certificate.contract_number))
        await eventually(partial(registry.pool.fetchval, WAITING))

    assert (await looking).status_code == 303
    assert await registry.pool.fetchval("SELECT count(*) FROM opened_certificate") == 0


async def test_a_look_that_waits_for_its_session_keeps_nobody_from_the_log(certificate, at_tochigi, registry, issue):
    async with transaction(registry.pool) as tx:
        await tx.execute("SELECT FROM session FOR UPDATE")
        looking = asyncio.create_task(at_tochigi.look_up(certificate.contract_number))
        await eventually(partial(registry.pool.fetchval, WAITING))
        await issue()

    assert (await looking).status_code == 303


async def test_a_disabled_account_has_nothing_open(certificate, at_tochigi, registry):
    await at_tochigi.look_up(certificate.contract_number)
    await registry.pool.execute(DISABLE_ACCOUNT, at_tochigi.account_id)

    for rest in FILES:
        answer = await at_tochigi.get(f"{PLACE}/{certificate.contract_number}{rest}")
        assert "/purchaser/sign-in" in answer.headers["location"]


@pytest.mark.parametrize(("minutes", "still_open"), [(29, True), (31, False)])
async def test_a_certificate_closes_after_half_an_hour(minutes, still_open, certificate, at_tochigi, registry):
    await at_tochigi.look_up(certificate.contract_number)
    await registry.pool.execute(f"UPDATE opened_certificate SET opened_at = opened_at - interval '{minutes} minutes'")

    assert await at_tochigi.has_open(certificate.contract_number) == still_open


async def test_giving_the_key_again_opens_it_anew(certificate, at_tochigi, registry):
    await at_tochigi.look_up(certificate.contract_number)
    await registry.pool.execute("UPDATE opened_certificate SET opened_at = opened_at - interval '31 minutes'")

    assert await at_tochigi.opens(certificate.contract_number)
    assert await registry.pool.fetchval("SELECT count(*) FROM opened_certificate") == 1


async def test_a_look_is_one_view_however_often_its_page_and_files_are_fetched(certificate, at_tochigi, registry):
    await at_tochigi.look_up(certificate.contract_number)
    for rest in (*FILES, *FILES):
        await at_tochigi.get(f"{PLACE}/{certificate.contract_number}{rest}")

    assert await registry.pool.fetchval("SELECT count(*) FROM view") == 1
    assert len(await registry.outbox("CertificateViewed")) == 1


async def test_the_key_given_twice_is_two_views_and_one_open_certificate(certificate, at_tochigi, registry):
    await asyncio.gather(*(at_tochigi.look_up(certificate.contract_number) for _ in range(2)))

    assert await registry.pool.fetchval("SELECT count(*) FROM view") == 2
    assert await registry.pool.fetchval("SELECT count(*) FROM opened_certificate") == 1


async def test_a_wrong_key_an_unknown_number_and_anothers_certificate_get_the_same_page(
    certificate, issue, at_tochigi, texts
):
    foreign = await issue(purchaser_id="omitama")
    numbers = [
        (certificate.contract_number, WRONG),
        (a_contract_number(), KEY),
        (foreign.contract_number, KEY),
    ]

    answers = [await at_tochigi.look_up(number, key) for number, key in numbers]

    assert {answer.status_code for answer in answers} == {404}
    pages = {answer.text.replace(number, "NUMBER") for answer, (number, _) in zip(answers, numbers, strict=True)}
    assert len(pages) == 1
    assert "電子証書を表示できません" in pages.pop()


async def test_after_so_many_wrong_keys_the_page_tells_how_long_to_wait(certificate, at_tochigi, texts):
    for _ in range(PER_NUMBER):
        assert (await at_tochigi.look_up(certificate.contract_number, WRONG)).status_code == 404

    answer = await at_tochigi.look_up(certificate.contract_number)

    assert answer.status_code == 429
    assert 0 < int(answer.headers["retry-after"]) <= 901
    assert "約15分後" in texts(answer)
    assert not await at_tochigi.has_open(certificate.contract_number)


async def test_a_certificate_that_is_open_stays_so_while_looking_up_is_stopped(certificate, at_tochigi):
    await at_tochigi.look_up(certificate.contract_number)
    for _ in range(PER_NUMBER + 1):
        await at_tochigi.look_up(certificate.contract_number, WRONG)

    assert await at_tochigi.has_open(certificate.contract_number)


@pytest.mark.parametrize("headers", [{"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}])
async def test_a_form_from_elsewhere_looks_nothing_up(headers, certificate, at_tochigi, registry):
    answer = await at_tochigi.look_up(certificate.contract_number, **headers)

    assert answer.status_code == 403
    assert await registry.pool.fetchval("SELECT count(*) FROM view") == 0
    assert not await at_tochigi.has_open(certificate.contract_number)


@pytest.mark.parametrize("csrf", ["", "0" * 64])
async def test_a_form_without_our_mark_looks_nothing_up(csrf, certificate, at_tochigi, registry):
    answer = await at_tochigi.post(PLACE, {"number": certificate.contract_number, "key": KEY, "csrf": csrf})

    assert answer.status_code == 403
    assert await registry.pool.fetchval("SELECT count(*) FROM throttle") == 0


async def test_a_typing_error_is_told_and_not_counted(certificate, at_tochigi, registry, texts):
    number = certificate.contract_number
    wrong = number[:-1] + ("0" if number[-1] != "0" else "2")
    for _ in range(PER_NUMBER + 2):
        answer = await at_tochigi.look_up(wrong, KEY[:-1])

    assert answer.status_code == 422
    assert "保証契約番号の入力に誤りがあります" in texts(answer)
    assert "入力されたのは11文字です" in texts(answer)
    assert f'value="{wrong}"' in answer.text
    assert await registry.pool.fetchval("SELECT count(*) FROM throttle") == 0


@pytest.mark.parametrize("key", [KEY, WRONG, KEY[:-1], f"{KEY}x", f"0{KEY[1:]}"])
async def test_no_answer_repeats_a_key(key, certificate, at_tochigi):
    answer = await at_tochigi.look_up(certificate.contract_number, key)
    page = await at_tochigi.get(f"{PLACE}/{certificate.contract_number}")

    for said in (answer, page):
        assert key not in said.text + str(said.headers)


async def test_full_width_and_spaces_are_forgiven(certificate, at_tochigi):
    wide = ["".join(chr(ord(char) + 0xFEE0) for char in text) for text in (certificate.contract_number, KEY)]

    assert await at_tochigi.opens(*wide)
    assert await at_tochigi.opens(f"　{certificate.contract_number.replace('-', '')}　", f" {KEY[:4]} {KEY[4:]}\n")


async def test_the_number_of_the_code_is_in_the_form(at_tochigi):
    page = await at_tochigi.get(f"{PLACE}?number=１０２２６ー００００１Ａ")

    assert 'name="number" value="10226-00001A"' in page.text


async def test_what_is_put_into_the_address_stays_text(at_tochigi):
    page = await at_tochigi.get(f'{PLACE}?number="><script>alert(1)</script>')

    assert "<script>alert" not in page.text.lower()


@pytest.mark.parametrize("number", ["x", "10226-00001", "10226-000010", "5f2c0a8e-7d1b-4c55-9a3e-1d0f6b2e9c47"])
async def test_what_can_be_no_number_is_not_found(number, at_tochigi):
    assert (await at_tochigi.get(f"{PLACE}/{number}")).status_code == 404


async def test_pages_and_files_are_stored_nowhere_on_the_way(certificate, at_tochigi):
    await at_tochigi.look_up(certificate.contract_number)

    for rest in FILES:
        answer = await at_tochigi.get(f"{PLACE}/{certificate.contract_number}{rest}")
        assert answer.headers["cache-control"] == "no-store"
