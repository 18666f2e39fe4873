"""KEY-6, KEY-8 to KEY-10, WHO-10: number and key in, certificate out; for its purchaser, and not for guessers."""

import asyncio
import json
import uuid
from dataclasses import replace
from datetime import timedelta

import httpx
import pytest
from prometheus_client import REGISTRY

from chassis.outbox import Outbox, unpack
from chassis.postgres import transaction
from chassis.web.problems import Problem
from chassis.web.tokens import DISABLE_ACCOUNT, REVOKE_TOKENS, Principal
from schemas import topics
from schemas.authentication_key import secret_id
from schemas.envelope import Cause
from schemas.views import CertificateViewed
from services.registry import handlers
from services.registry.domain import Limits
from tests.support.builders import a_certificate, a_contract_number, a_record
from tests.support.consuming import a_consumer
from tests.support.services import Person, answering, build, make_service

KEY, WRONG = "Z28YUE4J3Bux", "Z28YUE4J3Buy"
PER_NUMBER, PER_ACCOUNT = 5, 30


@pytest.fixture
async def certificate(registry, keys):
    event = a_certificate(keys=keys, key=KEY)
    await a_consumer(registry.service, registry.pool).take([a_record(event)])
    return event


@pytest.fixture
async def tochigi(registry):
    return await registry.person("tochigi")


@pytest.fixture
def look_up(registry, tochigi):
    async def ask(number, key=KEY, person=tochigi):
        body = {"contract_number": number, "authentication_key": key}
        return await registry.http.post("/api/certificates/lookup", json=body, headers=person.headers)

    return ask


def without_correlation(answer):
    return {name: value for name, value in answer.json().items() if name != "correlation_id"}


async def test_number_and_key_show_the_certificate_as_it_was_issued(certificate, look_up):
    answer = await look_up(certificate.contract_number)

    assert answer.status_code == 200
    shown = answer.json()
    assert shown["content"] == json.loads(certificate.content.canonical())
    assert shown["content_sha256"] == certificate.content_sha256
    assert [line["kind"] for line in shown["history"]] == ["new"]
    assert KEY not in answer.text


async def test_what_was_shown_is_stored_nowhere_on_the_way(certificate, look_up):
    assert (await look_up(certificate.contract_number)).headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    "widen", [lambda text: "".join(chr(ord(char) + 0xFEE0) for char in text), lambda text: f"　{text} \n"]
)
async def test_full_width_and_spaces_are_forgiven(widen, certificate, look_up):
    assert (await look_up(widen(certificate.contract_number), widen(KEY))).status_code == 200


async def test_case_counts_in_a_key(certificate, look_up):
    assert (await look_up(certificate.contract_number, KEY.lower())).status_code == 404


async def test_a_wrong_key_an_unknown_number_and_anothers_certificate_get_the_same_answer(
    registry, certificate, look_up
):
    other = await registry.person("omitama")

    answers = [
        await look_up(certificate.contract_number, WRONG),
        await look_up(a_contract_number(), KEY),
        await look_up("no number at all", KEY),
        await look_up(certificate.contract_number, KEY, person=other),
    ]

    assert {answer.status_code for answer in answers} == {404}
    assert len({json.dumps(without_correlation(answer), sort_keys=True) for answer in answers}) == 1


async def test_a_view_is_recorded_and_told(registry, certificate, look_up, tochigi):
    await look_up(certificate.contract_number)

    (told,) = [CertificateViewed.model_validate_json(value) for value in await registry.outbox("CertificateViewed")]
    row = await registry.pool.fetchrow("SELECT * FROM view")
    assert (row["view_id"], row["account_id"], row["certificate_id"]) == (
        told.view_id,
        tochigi.account_id,
        certificate.certificate_id,
    )
    assert (told.viewed_by, told.viewed_at) == (tochigi.account_id, row["viewed_at"])


async def test_each_view_is_told(registry, certificate, look_up):
    for _ in range(3):
        await look_up(certificate.contract_number)

    assert len(await registry.outbox("CertificateViewed")) == 3


async def test_a_failed_look_is_no_view(registry, certificate, look_up):
    await look_up(certificate.contract_number, WRONG)

    assert await registry.outbox("CertificateViewed") == []
    assert await registry.pool.fetchval("SELECT count(*) FROM view") == 0


async def test_the_newest_version_is_shown_with_the_history_of_all(registry, certificate, look_up, keys):
    changed = a_certificate(
        keys=keys,
        key=KEY,
        contract=certificate.contract_number,
        application_id=certificate.application_id,
        content={"version": 2, "change_number": 1, "kind": "change", "amount_yen": 21_000_000},
    )
    await a_consumer(registry.service, registry.pool).take([a_record(changed)])

    shown = (await look_up(certificate.contract_number)).json()

    assert (shown["version"], shown["content"]["amount_yen"]) == (2, 21_000_000)
    assert [line["version"] for line in shown["history"]] == [2, 1]


async def test_after_so_many_wrong_keys_a_number_is_closed_for_a_while(certificate, look_up):
    for _ in range(PER_NUMBER):
        assert (await look_up(certificate.contract_number, WRONG)).status_code == 404

    answer = await look_up(certificate.contract_number, KEY)

    assert answer.status_code == 429
    assert 0 < int(answer.headers["retry-after"]) <= 901


async def test_wrong_keys_are_counted_for_who_watches(certificate, look_up):
    before = {why: _wrong_keys(why) for why in ("wrong", "too_often")}

    for _ in range(PER_NUMBER + 2):
        await look_up(certificate.contract_number, WRONG)

    assert {why: _wrong_keys(why) - count for why, count in before.items()} == {"wrong": PER_NUMBER, "too_often": 2}


def _wrong_keys(why):
    return REGISTRY.get_sample_value("akashi_wrong_secrets_total", {"of": "key", "why": why}) or 0.0


async def test_failures_counted_by_a_clock_that_ran_far_ahead_close_nothing(registry, certificate, look_up):
    for _ in range(PER_NUMBER + 1):
        await look_up(certificate.contract_number, WRONG)
    later = "UPDATE throttle SET window_began = window_began + $1::interval"

    await registry.pool.execute(later, timedelta(minutes=5))
    assert (await look_up(certificate.contract_number, KEY)).status_code == 429
    await registry.pool.execute(later, timedelta(days=400))

    assert (await look_up(certificate.contract_number, KEY)).status_code == 200


async def test_unknown_numbers_are_slowed_alike(look_up):
    number = a_contract_number()
    for _ in range(PER_NUMBER):
        await look_up(number)

    assert (await look_up(number)).status_code == 429


async def test_another_account_of_the_same_purchaser_is_not_affected(registry, certificate, look_up):
    for _ in range(PER_NUMBER + 1):
        await look_up(certificate.contract_number, WRONG)
    colleague = await registry.person("tochigi")

    assert (await look_up(certificate.contract_number, KEY, person=colleague)).status_code == 200


async def test_another_number_of_the_same_account_is_not_affected(certificate, look_up):
    guessed = a_contract_number()
    for _ in range(PER_NUMBER + 1):
        await look_up(guessed)

    assert (await look_up(certificate.contract_number)).status_code == 200


async def test_an_account_that_tries_many_numbers_is_slowed_as_a_whole(certificate, look_up):
    for _ in range(PER_ACCOUNT):
        assert (await look_up(a_contract_number())).status_code == 404

    assert (await look_up(certificate.contract_number)).status_code == 429


async def test_right_keys_are_never_counted(certificate, look_up):
    statuses = {(await look_up(certificate.contract_number)).status_code for _ in range(PER_ACCOUNT + 5)}

    assert statuses == {200}


async def test_the_same_number_typed_otherwise_is_counted_together(certificate, look_up):
    number = certificate.contract_number
    ways = [number, f" {number}", number.replace("-", ""), number.lower(), number.replace("-", "ー")]
    for way in ways:
        await look_up(way, WRONG)

    assert (await look_up(number)).status_code == 429


async def test_of_twenty_guesses_at_once_no_more_than_the_limit_are_compared(certificate, look_up):
    answers = await asyncio.gather(*(look_up(certificate.contract_number, WRONG) for _ in range(20)))

    statuses = sorted(answer.status_code for answer in answers)
    assert statuses == [404] * PER_NUMBER + [429] * (20 - PER_NUMBER)


async def test_a_right_key_among_many_guesses_at_once_takes_nobodys_turn(certificate, look_up):
    keys_tried = [KEY, WRONG] * 2
    answers = await asyncio.gather(*(look_up(certificate.contract_number, key) for key in keys_tried))

    assert [answer.status_code for answer in answers] == [200, 404] * 2


async def test_look_ups_at_once_get_each_its_own_answer_and_their_looks_are_told_in_the_order_of_the_log(
    registry, certificate, look_up, keys
):
    others = [a_certificate(keys=keys, key=KEY) for _ in range(3)]
    await a_consumer(registry.service, registry.pool).take([a_record(event) for event in others])
    numbers = [event.contract_number for event in (certificate, *others)]
    elsewhere, nobody = await registry.person("omitama"), replace(await registry.person("tochigi"), token="akashi_no")
    asked = [(number, KEY, None, 200) for number in numbers * 3]
    asked += [(numbers[0], WRONG, None, 404), (numbers[1], KEY, elsewhere, 404), (numbers[2], KEY, nobody, 401)]

    answers = await asyncio.gather(
        *(look_up(number, key, **({"person": person} if person else {})) for number, key, person, _ in asked)
    )

    assert [answer.status_code for answer in answers] == [status for *_, status in asked]
    shown = [answer.json()["contract_number"] for answer in answers if answer.status_code == 200]
    assert shown == numbers * 3
    told = [CertificateViewed.model_validate_json(value) for value in await registry.outbox("CertificateViewed")]
    assert sorted(view.contract_number for view in told) == sorted(shown)
    assert [view.leaf_index for view in told] == list(range(2 * len(numbers), 2 * len(numbers) + len(told)))
    causes = [
        dict(unpack(row["headers"]))["ce_correlationid"].decode()
        for row in await registry.pool.fetch("SELECT headers FROM outbox WHERE topic = $1", topics.VIEWS.name)
    ]
    turns = await registry.pool.fetchval("SELECT count(DISTINCT xmin::text) FROM view")
    assert turns < len(told), "nobody shared a transaction"
    assert sorted(causes) == sorted(
        answer.headers["x-correlation-id"] for answer in answers if answer.status_code == 200
    )


async def test_when_the_window_is_over_the_account_may_try_again(certificate, registry, tochigi, keys, clock):
    limits = Limits(per_number=2, per_account=9, window=timedelta(minutes=15))
    registering = handlers.Registering(
        clock=clock,
        outbox=Outbox("registry"),
        limits=limits,
        arrivals=handlers.Arriving(clock),
        peppers={secret_id(keys.pepper): keys.pepper},
    )
    person = Principal(tochigi.account_id, "purchaser", "tochigi", "見本　太郎", frozenset({"lookup"}))

    async def status(key):
        async with transaction(registry.pool) as tx:
            asked = handlers.Asked(certificate.contract_number, key, person, Cause("test"))
            (found,) = await handlers.find(tx, [asked], registering=registering)
        return found.status if isinstance(found, Problem) else 200

    assert [await status(WRONG) for _ in range(3)] == [404, 404, 429]
    clock.pass_(minutes=14, seconds=59)
    assert await status(KEY) == 429

    clock.pass_(seconds=1)

    assert await status(KEY) == 200


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"contract_number": "x"},
        {"contract_number": "", "authentication_key": ""},
        {"contract_number": KEY * 20, "authentication_key": KEY},
        {"contract_number": 1, "authentication_key": [KEY]},
        {"contract_number": "x", "authentication_key": KEY, "extra": KEY},
    ],
)
async def test_a_question_of_another_shape_is_refused_without_repeating_it(body, registry, tochigi):
    answer = await registry.http.post("/api/certificates/lookup", json=body, headers=tochigi.headers)

    assert answer.status_code == 422
    assert KEY not in answer.text


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer ", "Basic YTpi", "Bearer akashi_unknown"])
async def test_without_a_token_nobody_asks(header, registry):
    headers = {} if header is None else {"Authorization": header}
    answer = await registry.http.post(
        "/api/certificates/lookup", json={"contract_number": "x", "authentication_key": "y"}, headers=headers
    )

    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == 'Bearer realm="akashi"'


async def test_an_expired_token_is_no_token(registry, certificate, look_up, tochigi):
    expired = await registry.token(tochigi.account_id, hours=-0.001)

    assert (await look_up(certificate.contract_number, person=Person(tochigi.account_id, expired))).status_code == 401


@pytest.mark.parametrize("statement", [REVOKE_TOKENS, DISABLE_ACCOUNT], ids=["revoked", "account disabled"])
async def test_a_token_that_was_taken_back_is_no_token(statement, registry, certificate, look_up, tochigi):
    assert (await look_up(certificate.contract_number)).status_code == 200
    await registry.pool.execute(statement, tochigi.account_id)

    assert (await look_up(certificate.contract_number)).status_code == 401


async def test_a_token_without_the_scope_may_not_look(registry, certificate, look_up, tochigi):
    weak = await registry.token(tochigi.account_id, scopes=())

    assert (await look_up(certificate.contract_number, person=Person(tochigi.account_id, weak))).status_code == 403


async def test_only_a_tokens_hash_is_stored(registry, tochigi):
    rows = await registry.pool.fetch("SELECT to_jsonb(token)::text AS row FROM token")

    assert all(tochigi.token not in row["row"] for row in rows)


async def test_a_database_that_is_away_is_answered_with_try_again(registry, tochigi, databases, keys):
    async with answering(build(make_service("registry", databases, keys))) as site:
        await site.pool.close()
        answer = await site.http.post(
            "/api/certificates/lookup",
            json={"contract_number": "x", "authentication_key": str(uuid.uuid4())},
            headers=tochigi.headers,
        )

    assert answer.status_code == httpx.codes.SERVICE_UNAVAILABLE
    assert answer.headers["retry-after"] == "1"
