"""DESK-1 to DESK-8, DEC-6, DEC-8 on pages: what the surety's staff see and do, and that nobody else does."""

import asyncio
import html
import itertools
import json
import re
import uuid
from datetime import date, timedelta

import pytest

from chassis import sealing
from documents.era import wareki_padded
from documents.money import yen, yen_spaced
from schemas.applications import MessageToSurety, WithdrawalRequested
from schemas.sealed import SealedText
from services.issuer.web import writing
from tests.support.builders import a_performance_product, a_product, a_tombstone, a_wrapped_data_key, an_application
from tests.support.clock import NOON, the_clock_moves_on
from tests.support.consuming import a_consumer
from tests.support.pages import let_in, reader, signed_in

SECRET = bytes(32)
#: Where something is done to an application.
STEPS = ("/accept", "/return", "/approve", "/reject", "/messages")


def path_of(event, step=""):
    return f"/desk/applications/{event.application_id}{step}"


def hidden(page, name):
    return found(f'name="{name}" value="([^"]*)"', page)


def found(pattern, page):
    """What the page says at that place, as a browser reads it."""
    match = re.search(pattern, page.text)
    assert match is not None, pattern
    return html.unescape(match.group(1))


async def sent(page, path, **fields):
    """The answer to a form, not followed."""
    csrf = hidden(page, "csrf")
    return await page.http.post(path, data={"csrf": csrf, **fields})


@pytest.fixture
async def page(issuer):
    return await signed_in(issuer, await issuer.person("toto", name="東都　審子"), "toto-1")


@pytest.fixture
async def first(issuer):
    return await signed_in(issuer, await issuer.person("nankai", name="南海　起子"), "nankai-1")


@pytest.fixture
async def second(issuer):
    return await signed_in(issuer, await issuer.person("nankai", name="南海　承子"), "nankai-2")


@pytest.fixture
async def waits(waiting, take, keys):
    """An application of 東都, with its data key."""
    event = waiting(works__name="見本橋架替工事")
    info = sealing.wrapping_info(event.application_id, "issuer")
    wrapped = sealing.Recipient(keys.public_key("issuer")).seal(SECRET, info=info)
    await take(event, a_wrapped_data_key(event.application_id, readers={"issuer": wrapped}))
    return event


@pytest.fixture
async def proposed(two_must_agree, take, first):
    event = two_must_agree()
    await take(event)
    await first.get(path_of(event, "/accept"))
    await first.post(path_of(event, "/accept"), {"message": "出来高を確認しました。"})
    return event


# --- 審査待ち ---


async def test_the_queue_says_who_waits_for_what_and_why(page, waits):
    await page.get("/desk/")

    for told in ("東都建設業保証株式会社", "東都　審子", "株式会社髙﨑建設", "見本橋架替工事", "栃木県知事"):
        assert told in page.text, told
    for told in ("25,000,000円", "前払・契約", "LIM-1", "割合の超過", "1分未満", "1件"):
        assert told in page.text, told
    assert "承認待ち" not in page.text


async def test_an_empty_queue_says_so(page):
    await page.get("/desk/")

    assert "審査を待っている申込はありません。" in page.text


@pytest.mark.parametrize(
    ("minutes", "told"),
    [(15, "15分"), (60, "1時間"), (135, "2時間15分"), (1439, "23時間59分"), (3 * 1440 + 200, "3日")],
)
async def test_how_long_something_waits_is_told_in_words(*, issuer, page, waits, minutes, told):
    await issuer.pool.execute("UPDATE application SET queued_at = queued_at - $1::interval", timedelta(minutes=minutes))

    await page.get("/desk/")

    assert f'<b class="whole">{told}</b>' in page.text


async def test_the_queue_is_the_oldest_first_and_of_one_product_on_wish(page, take, waiting):
    old = waiting(works__name="古い工事", products=(a_product(ratio_percent="40.1"),))
    new = waiting(works__name="新しい工事")
    await take(old)
    await take(new)

    await page.get("/desk/")
    assert page.text.index("古い工事") < page.text.index("新しい工事")
    await page.get("/desk/?product=performance")
    assert ("古い工事" in page.text, "新しい工事" in page.text) == (False, True)
    await page.get("/desk/?product=interim_payment")
    assert "この条件で審査を待っている申込はありません。" in page.text
    await page.get("/desk/?product=nonsense")
    assert "2件" in page.text


async def test_a_long_queue_goes_on_over_the_page(page, take, waiting):
    events = [waiting(works__name=f"工事{n:02}終") for n in range(23)]
    for event in events:
        await take(event)

    await page.get("/desk/")
    names = set(re.findall("工事[0-9]{2}終", page.text))
    await page.get("/desk/" + found(r'href="(\?cursor=[^"]+)" rel="next"', page))

    assert len(names) == 20
    assert names | set(re.findall("工事[0-9]{2}終", page.text)) == {event.works.name for event in events}
    assert "最初のページ" in page.text


async def test_what_waits_for_a_second_person_has_a_tab_of_its_own(second, proposed, two_must_agree, take):
    await take(two_must_agree(works__name="まだ起案のない工事"))

    await second.get("/desk/")
    for told in ("すべて（2）", "起案前（1）", "承認待ち（1）", "起案：南海　起子"):
        assert told in second.text
    await second.get("/desk/?tab=proposed")
    assert (proposed.works.name in second.text, "まだ起案のない工事" in second.text) == (True, False)
    await second.get("/desk/?tab=open")
    assert (proposed.works.name in second.text, "まだ起案のない工事" in second.text) == (False, True)


async def test_an_open_page_asks_by_itself_and_is_answered_when_something_changed(page, waits, take, waiting):
    await page.get("/desk/")
    asks = found(r'hx-get="([^"]+)"', page)
    unchanged = await page.http.get(asks, headers={"HX-Request": "true"})
    await take(waiting(works__name="増えた工事"))
    changed = await page.http.get(asks, headers={"HX-Request": "true"})

    # A minute may end in between, and with it the answer.
    assert unchanged.status_code in (200, 204)
    assert (changed.status_code, "増えた工事" in changed.text) == (200, True)


async def test_an_open_page_stops_asking_before_the_session_would_end(page, waits):
    late = await page.http.get("/desk/?until=1000", headers={"HX-Request": "true"})
    fresh = await page.http.get("/desk/?until=1000")

    assert ("hx-get" in late.text, "自動更新を終了しました" in late.text) == (False, True)
    assert "hx-get" in fresh.text


# --- one application ---


async def test_an_application_shows_all_that_is_known(page, waits):
    await page.get(path_of(waits))

    for told in (
        "見本橋架替工事",
        "栃木県見本市見本町３丁目３番３号",
        "栃木県知事（栃木県）",
        "50,000,000 円",
        "20,000,000 円",
        "○○銀行　××支店",
        "40.1%",
        "（40.0%）",
        "LIM-1",
        "割合が40.1%で、上限の40.0%を超えています。",
        "keiri@takasaki-kensetsu.example",
        "栃木支店",
        "2026/10/02 ～ 2027/03/19",
        str(waits.application_id),
    ):
        assert told in page.text, told


async def test_erased_contact_data_is_told_as_erased(issuer, page, waits):
    await a_consumer(issuer.service, issuer.pool).take([a_tombstone(waits.application_id)])

    await page.get(path_of(waits))

    assert "消去済み" in page.text
    assert "keiri@takasaki-kensetsu.example" not in page.text
    assert "お知らせを送信できません" in page.text
    assert "/messages" not in page.text


async def test_what_an_application_replaces_is_linked_where_it_can_be_opened(page, waits, waiting, take):
    elsewhere = waiting(surety_id="nankai", branch_id="okinawa", works__purchaser_id="yomitan")
    ours, theirs = waiting(replaces=waits.application_id), waiting(replaces=elsewhere.application_id)
    await take(elsewhere, ours, theirs)

    await page.get(path_of(ours))
    assert f'href="{path_of(waits)}"' in page.text
    await page.get(path_of(theirs))
    assert str(elsewhere.application_id) in page.text
    assert path_of(elsewhere) not in page.text


async def test_another_suretys_application_is_not_there(first, waits):
    for step in ("", "/accept", "/return", "/approve", "/reject", "/messages"):
        anothers = await first.http.get(path_of(waits, step))
        nobodys = await first.http.get(f"/desk/applications/{uuid.uuid4()}{step}")

        assert (anothers.status_code, nobodys.status_code) == (404, 404), step
        assert waits.works.name not in anothers.text


async def test_nothing_is_done_to_another_suretys_application(issuer, first, waits):
    await first.get("/desk/account")

    fields = {"message": "理由", "text": "文", "step": "send", "proposed_at": NOON.isoformat()}
    for step in STEPS:
        assert (await sent(first, path_of(waits, step), **fields)).status_code == 404, step
    assert await issuer.outbox("ApplicationDecided") == await issuer.outbox("MessageToContractor") == []


@pytest.mark.parametrize("csrf", [{}, {"csrf": "0" * 64}])
async def test_a_form_that_is_not_ours_does_nothing(issuer, page, waits, csrf):
    for step in STEPS:
        fields = {"message": "理由", "text": "文", "step": "send"}
        assert (await page.http.post(path_of(waits, step), data={**fields, **csrf})).status_code == 403, step

    assert await issuer.outbox("ApplicationDecided") == await issuer.outbox("MessageToContractor") == []


async def test_who_is_not_signed_in_comes_back_after_signing_in(issuer, waits):
    await let_in(issuer, await issuer.person("toto"), "toto-9")
    stranger = reader(issuer)
    await stranger.get(path_of(waits))
    assert stranger.path == "/desk/sign-in"

    await stranger.sign_in("toto-9", next=path_of(waits))

    assert stranger.path == path_of(waits)


# --- deciding alone ---


async def test_before_accepting_it_is_shown_what_will_be_issued(issuer, page, take, waiting):
    products = (a_product(ratio_percent="40.1"), a_performance_product(form="paper"))
    event = waiting(products=products)
    await take(event)

    await page.get(path_of(event, "/accept"))

    for told in (
        "電子証書・認証キー",
        "証書(紙)（印刷待ちに追加）",
        "証書2件",
        "電子証書1件、証書(紙)1件",
        "25,000,000 円",
    ):
        assert told in page.text, told
    shown = set(re.findall(r"([0-9,]+) 円", page.text))
    await page.post(path_of(event, "/accept"))
    (decided,) = map(json.loads, await issuer.outbox("ApplicationDecided"))
    fees = [outcome["fee"]["fee_yen"] for outcome in decided["outcomes"]]
    assert {f"{fee:,}" for fee in (*fees, sum(fees))} <= shown


async def test_what_the_rules_forbid_is_told_before_accepting(page, take):
    products = (a_product(), a_performance_product(form="paper", ratio_percent="10.1"))
    event = an_application(products=products, works__contract_date="2024-03-31")
    await take(event)

    await page.get(path_of(event))
    assert "引受け不可" in page.text
    await page.get(path_of(event, "/accept"))

    assert "規則により引き受けられません。" in page.text
    assert "EL-7" in page.text
    assert "証書1件" in page.text


async def test_accepting_issues_and_shows_number_fee_and_who(issuer, page, waits):
    await page.get(path_of(waits, "/accept"))

    answer = await sent(page, path_of(waits, "/accept"), message="承りました。")

    assert (answer.status_code, answer.headers["location"]) == (303, f"{path_of(waits)}?told=accepted")
    await page.get(answer.headers["location"])
    assert "引受けを決定しました。" in page.text
    assert len(await issuer.outbox("CertificateIssued")) == 2
    for told in ("承りました。", "決定した担当者", "東都　審子", "102", "引受けを決定"):
        assert told in page.text


async def test_pressed_twice_it_is_decided_once(issuer, page, waits):
    await page.get(path_of(waits, "/accept"))

    answers = await asyncio.gather(*(sent(page, path_of(waits, "/accept")) for _ in range(2)))

    assert [answer.status_code for answer in answers] == [303, 303]
    assert len(await issuer.outbox("ApplicationDecided")) == 1


async def test_a_return_shows_what_the_contractor_will_read_before_anything_is_sent(issuer, page, waits):
    await page.get(path_of(waits, "/return"))

    await page.post(path_of(waits, "/return"), {"step": "preview", "message": "金額を\n<b>ご確認</b>ください。"})

    assert "契約者に表示される内容" in page.text
    assert "金額を\n&lt;b&gt;ご確認&lt;/b&gt;ください。" in page.text
    assert await issuer.outbox("ApplicationDecided") == []
    await page.post(path_of(waits, "/return"), {"step": "edit", "message": hidden(page, "message")})
    assert "理由の入力" in page.text
    assert ">金額を\n&lt;b&gt;" in page.text
    await page.post(path_of(waits, "/return"), {"step": "send", "message": "金額をご確認ください。"})
    assert "差戻しを決定しました。" in page.text
    (decided,) = map(json.loads, await issuer.outbox("ApplicationDecided"))
    assert decided["message"] == "金額をご確認ください。"


@pytest.mark.parametrize("step", ["preview", "send", ""])
async def test_a_return_without_a_reason_is_told_beside_the_field(issuer, page, waits, step):
    await page.get(path_of(waits, "/return"))

    await page.post(path_of(waits, "/return"), {"step": step, "message": "　\n"})

    assert page.status == 422
    assert 'id="message-fault">差し戻しの理由を入力してください。' in page.text
    assert 'href="#message"' in page.text
    assert await issuer.outbox("ApplicationDecided") == []


@pytest.mark.parametrize(("step", "fields"), [("accept", {}), ("return", {"step": "send"}), ("return", {})])
async def test_a_reason_that_cannot_be_printed_is_kept_and_told(*, issuer, page, waits, step, fields):
    await page.get(path_of(waits, f"/{step}"))

    await page.post(path_of(waits, f"/{step}"), {**fields, "message": "ご確認\u202eください。"})

    assert page.status == 422
    assert "使用できない文字(U+202E)が含まれています。" in page.text
    assert "ご確認\u202eください。</textarea>" in page.text
    assert await issuer.outbox("ApplicationDecided") == []


async def test_who_comes_too_late_sees_how_it_was_decided(issuer, page, waits):
    other = await signed_in(issuer, await issuer.person("toto", name="東都　次郎"), "toto-2")
    await other.get(path_of(waits, "/return"))
    await page.get(path_of(waits, "/accept"))
    await page.post(path_of(waits, "/accept"))

    await other.post(path_of(waits, "/return"), {"step": "send", "message": "理由"})

    assert other.status == 409
    assert "この申込の審査はすでに終わっています。" in other.text
    assert "引受けを決定しました。" in other.text
    assert "東都　審子" in other.text
    assert "差戻しに進む" not in other.text


async def test_where_nothing_is_to_be_decided_each_step_leads_back(page, take):
    event = an_application()
    await take(event)

    for step in ("/accept", "/return", "/approve", "/reject"):
        await page.get(path_of(event, step))
        assert page.path == path_of(event)
    assert "規則により自動で決定しました。" in page.text


async def test_without_numbers_nothing_is_kept_and_the_page_says_why(issuer, page, waits):
    for year in (2024, 2025, 2026, 2027):
        await issuer.pool.execute("INSERT INTO number_series VALUES ('toto', 'tochigi', $1, 199998)", year)
    await page.get(path_of(waits, "/accept"))

    await page.post(path_of(waits, "/accept"))

    assert page.status == 409
    assert "保証契約番号が残っていません" in page.text
    assert "引受けに進む" in page.text
    assert await issuer.outbox("DeskDecisionMade") == []
    assert await issuer.pool.fetchval("SELECT status FROM application") == "queued"


async def test_a_withdrawn_application_asks_for_nothing(page, waits, take):
    await take(WithdrawalRequested(application_id=waits.application_id, requested_at=NOON, requested_by=uuid.uuid4()))

    await page.get(path_of(waits))

    assert "契約者が申込を取り下げました。" in page.text
    assert path_of(waits, "/accept") not in page.text


# --- four eyes ---


async def test_a_proposal_waits_for_another_person(issuer, first, proposed):
    assert "起案しました。別の担当者の承認をお待ちください。" in first.text
    assert "ご自身が起案した内容は承認できません。" in first.text
    assert path_of(proposed, "/approve") not in first.text
    assert await issuer.outbox("DeskDecisionMade") == []
    await first.get(path_of(proposed, "/approve"))
    assert first.path == path_of(proposed)


async def test_another_person_approves_what_was_proposed(issuer, second, proposed):
    await second.get(path_of(proposed))
    assert "引受けの起案が承認を待っています。" in second.text
    await second.get(path_of(proposed, "/approve"))
    assert ("出来高を確認しました。" in second.text, "証書2件" in second.text) == (True, True)

    fields = {"proposed_at": hidden(second, "proposed_at")}
    answers = [await sent(second, path_of(proposed, "/approve"), **fields) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [303, 303]
    await second.get(answers[0].headers["location"])
    assert "起案を承認し、決定しました。" in second.text
    assert re.search("引受けを起案.*?南海　起子.*引受けを決定.*?南海　承子", second.text, re.DOTALL), (
        "the history keeps both"
    )
    (made,) = map(json.loads, await issuer.outbox("DeskDecisionMade"))
    assert (made["proposer"], made["person"]) == ("南海　起子", "南海　承子")


async def test_the_same_person_is_told_why_they_cannot_approve(issuer, first, second, proposed):
    await second.get(path_of(proposed, "/approve"))

    await first.post(path_of(proposed, "/approve"), {"proposed_at": hidden(second, "proposed_at")})

    assert first.status == 409
    assert 'role="alert"' in first.text
    assert "ご自身が起案した内容は承認できません。別の担当者が承認してください。" in first.text
    assert await issuer.outbox("DeskDecisionMade") == []


async def test_another_proposal_than_the_one_looked_at_is_left_alone(issuer, first, second, proposed):
    await second.get(path_of(proposed, "/approve"))
    seen = hidden(second, "proposed_at")
    await first.get(path_of(proposed, "/reject"))
    await first.post(path_of(proposed, "/reject"), {"proposed_at": seen, "message": "取り違えました。"})
    await the_clock_moves_on()
    await first.post(path_of(proposed, "/return"), {"step": "send", "message": "書類が不足しています。"})

    for step, stale in itertools.product(("/approve", "/reject"), (seen, "", "nonsense", "2026-11-20T12:00:00")):
        await second.post(path_of(proposed, step), {"proposed_at": stale, "message": "理由"})
        assert second.status == 409
        assert "別の起案に替わっています" in second.text
        assert "差戻しの起案が承認を待っています。" in second.text
    assert await issuer.outbox("ApplicationDecided") == []


async def test_a_rejected_proposal_waits_again_and_the_history_says_why(first, second, proposed):
    await second.get(path_of(proposed, "/reject"))
    seen = hidden(second, "proposed_at")

    await second.post(path_of(proposed, "/reject"), {"proposed_at": seen, "message": "  "})
    assert (second.status, "却下の理由を入力してください。" in second.text) == (422, True)
    assert hidden(second, "proposed_at") == seen
    await second.post(path_of(proposed, "/reject"), {"proposed_at": seen, "message": "残高を再確認してください。"})

    assert "起案を却下しました。" in second.text
    await first.get(path_of(proposed))
    for told in ("引受けを起案", "起案を却下", "南海　承子", "残高を再確認してください。", "引受けの起案に進む"):
        assert told in first.text


async def test_a_second_proposal_is_refused_and_the_first_is_shown(second, proposed):
    await second.get(path_of(proposed))

    await second.post(path_of(proposed, "/accept"), {"message": ""})

    assert second.status == 409
    assert "南海　起子さんの起案が承認待ちです。" in second.text
    assert path_of(proposed, "/approve") in second.text


# --- messages ---


async def test_what_is_written_is_sent_once_however_often_it_is_pressed(issuer, page, waits):
    await page.get(path_of(waits))
    fields = {"message_id": hidden(page, "message_id"), "text": "図面を\nお送りください。"}

    answers = [await sent(page, path_of(waits, "/messages"), **fields) for _ in range(2)]

    assert [answer.headers["location"] for answer in answers] == [f"{path_of(waits)}?told=written#messages"] * 2
    assert len(await issuer.outbox("MessageToContractor")) == 1
    await page.get(path_of(waits))
    assert page.text.count("<p>図面を\nお送りください。</p>") == 1
    assert hidden(page, "message_id") != fields["message_id"]


async def test_another_text_in_a_form_that_was_sent_is_shown_again_and_leaves_when_it_is_pressed_again(
    issuer, page, waits
):
    await page.get(path_of(waits))
    drawn = hidden(page, "message_id")
    await sent(page, path_of(waits, "/messages"), message_id=drawn, text="一通目です。")

    await page.post(path_of(waits, "/messages"), {"message_id": drawn, "text": "二通目です。"})

    assert (page.status, "別の内容がすでに送信" in page.text, "二通目です。</textarea>" in page.text) == (
        422,
        True,
        True,
    )
    assert len(await issuer.outbox("MessageToContractor")) == 1
    again = hidden(page, "message_id")
    assert again != drawn
    await sent(page, path_of(waits, "/messages"), message_id=again, text="二通目です。")
    assert len(await issuer.outbox("MessageToContractor")) == 2


@pytest.mark.parametrize(("text", "told"), [(" \n", "メッセージを入力してください。"), ("あ" * 2001, "2000文字以内")])
async def test_what_cannot_be_sent_is_kept_and_told_beside_the_field(issuer, page, waits, text, told):
    await page.get(path_of(waits))
    drawn = hidden(page, "message_id")

    await page.post(path_of(waits, "/messages"), {"message_id": drawn, "text": text})

    assert (page.status, told in page.text, text in page.text) == (422, True, True)
    assert hidden(page, "message_id") == drawn
    assert await issuer.outbox("MessageToContractor") == []


async def test_words_that_came_too_late_for_the_key_are_not_lost(issuer, page, waits):
    await page.get(path_of(waits))
    await a_consumer(issuer.service, issuer.pool).take([a_tombstone(waits.application_id)])

    await page.post(path_of(waits, "/messages"), {"text": "最後の連絡です。", "message_id": str(uuid.uuid4())})

    assert page.status == 409
    assert "メッセージを送信できません。" in page.text
    assert "最後の連絡です。</textarea>" in page.text


async def test_what_the_contractor_wrote_is_read_and_never_run(page, waits, take):
    message_id = uuid.uuid4()
    nonce, ciphertext = sealing.DataKey(uuid.uuid4(), SECRET).seal(b"<script>1</script>", about=message_id)
    text = SealedText(data_key_id=uuid.uuid4(), nonce=sealing.b64(nonce), ciphertext=sealing.b64(ciphertext))
    await take(
        MessageToSurety(
            message_id=message_id,
            application_id=waits.application_id,
            sent_at=NOON,
            sent_by=uuid.uuid4(),
            text=text,
        )
    )

    await page.get(path_of(waits))

    assert "&lt;script&gt;1&lt;/script&gt;" in page.text
    assert "お客様から弊社への連絡事項" in page.text


# --- 検索 ---


async def test_an_application_is_found_by_its_number_in_full_width(issuer, page, take):
    event, other = an_application(works__name="見本橋架替工事"), an_application(works__name="別の工事")
    await take(event, other)
    number = await issuer.pool.fetchval(
        "SELECT contract_number FROM guarantee WHERE application_id = $1", event.application_id
    )
    full_width = number.translate({ord(c): chr(ord(c) + 0xFEE0) for c in "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ-"})

    await page.get(f"/desk/search?q={full_width}")

    assert (event.works.name in page.text, other.works.name in page.text) == (True, False)
    assert number in page.text
    assert f'value="{full_width}"' in page.text


async def test_a_search_is_of_one_state_on_wish_and_says_when_nothing_fits(page, take, waits):
    await take(an_application(works__name="自動の工事"))

    await page.get("/desk/search")
    assert page.text.index("自動の工事") != page.text.index("見本橋架替工事")
    await page.get("/desk/search?status=queued")
    assert ("自動の工事" in page.text, "見本橋架替工事" in page.text) == (False, True)
    await page.get("/desk/search?status=decided&q=工事")
    assert ("自動の工事" in page.text, "見本橋架替工事" in page.text) == (True, False)
    await page.get("/desk/search?q=どこにもない")
    assert "条件に合う申込はありません。" in page.text
    await page.get("/desk/search?status=nonsense")
    assert (page.status, "見本橋架替工事" in page.text) == (200, True)


async def test_a_long_list_of_findings_goes_on_and_keeps_what_was_asked(page, take):
    await take(*(an_application(works__name=f"工事{n:02}終") for n in range(23)))

    await page.get("/desk/search?q=工事&status=decided")
    names = set(re.findall("工事[0-9]{2}終", page.text))
    following = found(r'href="(\?[^"]+)" rel="next"', page)
    await page.get("/desk/search" + following)

    assert (len(names), len(set(re.findall("工事[0-9]{2}終", page.text)) - names)) == (20, 3)
    assert 'value="工事"' in page.text


async def test_what_another_surety_has_is_neither_found_nor_listed(first, page, waits, take):
    await take(an_application(works__name="紙の工事", products=(a_performance_product(form="paper"),)))

    for path in ("/desk/", "/desk/search", "/desk/search?q=工事", "/desk/paper"):
        await first.get(path)
        assert ("見本橋架替工事" in first.text, "紙の工事" in first.text) == (False, False), path


# --- 印刷待ち ---


@pytest.fixture
async def paper(issuer, take):
    """The number of a certificate on paper."""
    await take(an_application(works__name="紙の工事", products=(a_performance_product(form="paper"),)))
    return await issuer.pool.fetchval("SELECT contract_number FROM guarantee")


async def test_paper_is_listed_until_it_is_printed_and_can_be_printed_again(page, paper):
    await page.get("/desk/paper")
    assert (paper in page.text, "紙の工事" in page.text) == (True, True)

    answers = [await sent(page, f"/desk/paper/{paper}/printed") for _ in range(2)]

    assert [answer.status_code for answer in answers] == [303, 303]
    await page.get(answers[0].headers["location"])
    assert f"{paper} を印刷済みにしました。" in page.text
    assert "印刷を待っている証書(紙)はありません。" in page.text
    await page.get(f"/desk/paper/{paper}")
    assert "に印刷済みとなっています。" in page.text
    assert "印刷済みにする" not in page.text


async def test_the_sheet_says_what_the_certificate_says(issuer, page, paper):
    content = json.loads(await issuer.pool.fetchval("SELECT content FROM guarantee"))

    await page.get(f"/desk/paper/{paper}")

    for told in (
        content["title"],
        content["clause"],
        content["guarantor"]["name"],
        content["guarantor"]["officer_name"],
        content["handling_office"]["telephone"],
        content["beneficiary"],
        wareki_padded(date.fromisoformat(content["dated"])),
        wareki_padded(date.fromisoformat(content["guarantee_ends"])),
        "5,000,000 円",
        "見本",
        *content["notes"],
    ):
        assert told in page.text, told


@pytest.mark.parametrize("number", ["10226-000010", "%00", "x" * 300, "another"])
async def test_what_is_no_paper_of_ours_is_not_there(issuer, page, first, paper, number):
    await first.get("/desk/paper")
    path = f"/desk/paper/{paper if number == 'another' else number}"

    assert (await first.http.get(path)).status_code == 404
    assert (await sent(await first.get("/desk/account"), f"{path}/printed")).status_code == 404
    assert await issuer.pool.fetchval("SELECT printed_at FROM guarantee") is None


async def test_an_electronic_certificate_is_not_for_printing(issuer, page, take):
    await take(an_application())
    number = await issuer.pool.fetchval("SELECT contract_number FROM guarantee")

    assert (await page.http.get(f"/desk/paper/{number}")).status_code == 404


# --- wording ---


@pytest.mark.parametrize("path", ["/desk/", "/desk/search", "/desk/paper", "", "/accept", "/return"])
async def test_every_page_reads_in_english(page, waits, path):
    await page.get("/desk/language/en?next=/desk/")

    await page.get(path if path.startswith("/desk") else path_of(waits, path))

    assert page.status == 200
    said = re.sub(r"<[^>]+>", " ", page.text.split("<main", 1)[1])
    for known in (
        *(waits.works.name, waits.contractor.name, waits.contractor.address, waits.contractor.representative),
        *(
            "栃木県知事",
            "栃木県",
            "栃木支店",
            "○○銀行　××支店",
            "円",
            "株式会社髙﨑建設",
            "一括納付",
            "東都　審子",
            "日本語",
        ),
        *("証（あかし）", "～", "―", "　", "（", "）", "："),
    ):
        said = said.replace(known, "")
    assert re.findall(r"[\u3040-\u30ff\u4e00-\u9fff]+", said) == []


async def test_a_refusal_reads_in_english(page, waits):
    await page.get("/desk/language/en?next=/desk/")
    await page.get(path_of(waits, "/return"))

    await page.post(path_of(waits, "/return"), {"step": "send", "message": ""})

    assert "Say why it is returned." in page.text


@pytest.mark.parametrize("day", [date(1988, 12, 31), date(2019, 4, 30), date(2019, 5, 1), date(2020, 1, 1)])
def test_days_and_amounts_are_written_as_in_documents(day):
    assert writing.era(day) == wareki_padded(day)
    assert (writing.yen(20_000_000), writing.yen_spaced(1)) == (yen(20_000_000), yen_spaced(1))
