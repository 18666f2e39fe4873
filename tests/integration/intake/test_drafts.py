"""DRAFT: a form that is not sent yet is kept for the company, sealed, and sent once."""

import asyncio
import uuid

import pytest

from schemas.applications import ApplicationSubmitted
from tests.integration.intake.test_applying import returned
from tests.integration.intake.typed import a_typed_form, an_e_net_typed_form, found
from tests.support.builders import a_performance
from tests.support.pages import reader, signed_in

HERE = "/contractor/toto"


@pytest.fixture
async def page(intake, contractor):
    """A browser of the contractor's."""
    return await signed_in(intake, contractor.person, "takasaki-1")


async def keep(page, draft_id=None, *, go="save", **changes):
    """Type the form and press a button."""
    draft_id = draft_id or uuid.uuid4()
    await page.get(f"{HERE}/applications/new")
    await page.post(f"{HERE}/drafts/{draft_id}", a_typed_form(**changes) | {"go": go})
    return draft_id


async def send(page):
    """Press 送信する on 申込確認."""
    seen = found(r'name="seen" value="([0-9a-f]+)"', page.text)
    return await page.post(page.path.replace("/confirm", "/send"), {"seen": seen})


async def submitted(intake):
    return [ApplicationSubmitted.model_validate_json(value) for value in await intake.outbox("ApplicationSubmitted")]


async def test_a_draft_is_listed_and_opens_as_it_was_typed(page):
    draft_id = await keep(page, **{"works.name": "見本橋補修工事", "works.price_yen": "五千万"})

    await page.get(f"{HERE}/drafts")
    assert "見本橋補修工事" in page.text
    assert "栃木県知事" in page.text
    await page.get(f"{HERE}/drafts/{draft_id}")
    assert 'value="五千万"' in page.text


async def test_no_typed_word_is_in_the_clear_in_the_database(page, intake):
    await keep(page)

    rows = [row["row"] for row in await intake.pool.fetch("SELECT (draft.*)::text AS row FROM draft")]

    assert len(rows) == 1
    for secret in ("himitsu@takasaki-kensetsu.example", "﨑子", "himitsu"):
        assert secret not in rows[0]
        assert secret.encode().hex() not in rows[0]


async def test_a_colleague_continues_it_and_another_company_does_not_find_it(page, intake, contractor, another):
    draft_id = await keep(page, **{"works.name": "見本橋補修工事"})
    colleague = await signed_in(intake, await intake.person("takasaki", name="見本　次郎"), "takasaki-2")
    stranger = await signed_in(intake, (await another()).person, "sano-1")

    assert "見本橋補修工事" in (await colleague.get(f"{HERE}/drafts/{draft_id}")).text
    for path in (f"drafts/{draft_id}", f"drafts/{draft_id}/confirm", f"drafts/{draft_id}/delete"):
        assert (await stranger.get(f"{HERE}/{path}")).status == 404
    await stranger.get(f"{HERE}/applications/new")
    assert (await stranger.post(f"{HERE}/drafts/{draft_id}", a_typed_form() | {"go": "save"})).status == 404
    await stranger.get(f"{HERE}/applications/new")
    assert (await stranger.post(f"{HERE}/drafts/{draft_id}/send", {"seen": ""})).status == 404
    await stranger.get(f"{HERE}/applications/new")
    await stranger.post(f"{HERE}/drafts/{draft_id}/delete")
    assert "見本橋補修工事" in (await page.get(f"{HERE}/drafts/{draft_id}")).text


async def test_a_draft_is_of_one_suretys_portal(page):
    draft_id = await keep(page)

    assert (await page.get(f"/contractor/nankai/drafts/{draft_id}")).status == 404
    assert "作成中の申込はありません。" in (await page.get("/contractor/nankai/drafts")).text


async def test_what_is_deleted_is_gone(page):
    draft_id = await keep(page)

    await page.get(f"{HERE}/drafts/{draft_id}/delete")
    await page.post(f"{HERE}/drafts/{draft_id}/delete")

    assert "作成中の申込はありません。" in page.text
    assert (await page.get(f"{HERE}/drafts/{draft_id}")).status == 404


async def test_what_was_confirmed_is_sent_and_what_was_typed_is_forgotten(page, intake):
    draft_id = await keep(page, go="confirm", **{"works.name": "見本橋補修工事"})
    assert page.path.endswith("/confirm"), page.text
    assert "himitsu@takasaki-kensetsu.example" in page.text
    assert "40.0%" in page.text
    assert "50,000,000 円" in page.text

    await send(page)

    (event,) = await submitted(intake)
    assert page.path == f"{HERE}/applications/{event.application_id}/sent"
    assert str(event.application_id) in page.text
    assert (event.works.price_yen, event.products[0].ratio_percent) == (50_000_000, "40.0")
    assert (event.returned_mail_wanted, event.viewed_mail_wanted) == (True, False)
    row = await intake.pool.fetchrow("SELECT * FROM draft WHERE id = $1", draft_id)
    assert (row["nonce"], row["ciphertext"], row["application_id"]) == (None, None, event.application_id)
    assert "作成中の申込はありません。" in (await page.get(f"{HERE}/drafts")).text


async def test_sent_twice_at_once_it_is_one_application(page, intake):
    draft_id = await keep(page, go="confirm")
    seen = found(r'name="seen" value="([0-9a-f]+)"', page.text)
    token = found(r'name="csrf" value="([0-9a-f]+)"', page.text)

    answers = await asyncio.gather(
        *(page.http.post(f"{HERE}/drafts/{draft_id}/send", data={"csrf": token, "seen": seen}) for _ in range(4))
    )

    (event,) = await submitted(intake)
    assert {answer.headers["location"] for answer in answers} == {f"{HERE}/applications/{event.application_id}/sent"}


async def test_once_sent_every_page_of_the_draft_leads_to_the_application(page, intake):
    draft_id = await keep(page, go="confirm")
    await send(page)
    sent = page.path

    for path in ("", "/confirm"):
        assert (await page.get(f"{HERE}/drafts/{draft_id}{path}")).path == sent
    await page.get(f"{HERE}/applications/new")
    await page.post(f"{HERE}/drafts/{draft_id}", a_typed_form() | {"go": "save"})

    assert page.path == sent
    assert len(await submitted(intake)) == 1


async def test_what_was_sent_is_not_deleted(page):
    draft_id = await keep(page, go="confirm")
    await send(page)
    sent = page.path

    await page.post(f"{HERE}/drafts/{draft_id}/delete")

    assert (await page.get(f"{HERE}/drafts/{draft_id}")).path == sent


async def test_what_was_changed_after_the_confirmation_is_shown_before_it_is_sent(page, intake):
    draft_id = await keep(page, go="confirm")
    confirmed = page.text
    await keep(page, draft_id, **{"products.advance_payment.amount_yen": "19,000,000"})

    page.text, page.path = confirmed, f"{HERE}/drafts/{draft_id}/confirm"
    await send(page)

    assert page.path.endswith("/confirm")
    assert "19,000,000 円" in page.text
    assert "変更されました" in page.text
    assert await submitted(intake) == []


async def test_works_that_were_applied_for_lead_to_the_earlier_application(page, contractor, intake):
    earlier = await contractor.apply(works__name="見本橋補修工事", works__contract_date="2026-10-01")
    draft_id = await keep(page, go="confirm", **{"works.name": "見本橋 補修工事"})

    await send(page)

    assert page.status == 409
    assert f"{HERE}/applications/{earlier}" in page.text
    assert len(await submitted(intake)) == 1
    assert (await page.get(f"{HERE}/drafts/{draft_id}")).path == f"{HERE}/drafts/{draft_id}"


async def test_what_one_surety_returned_is_sent_to_another_in_its_place(page, contractor, intake):
    works = {"name": "見本橋補修工事", "contract_date": "2026-10-01", "purchaser_id": "yomitan"}
    first = await contractor.apply(**{f"works__{name}": value for name, value in works.items()})
    await contractor.hear(returned(first))
    draft_id, there = uuid.uuid4(), "/contractor/nankai"
    await page.get(f"{there}/applications/new")
    typed = an_e_net_typed_form(**{"works.name": "見本橋 補修工事"})
    await page.post(f"{there}/drafts/{draft_id}", typed | {"go": "confirm"})
    await send(page)
    assert page.status == 409

    await page.post(f"{there}/drafts/{draft_id}/replace", {"earlier": first})

    assert page.path == f"{there}/drafts/{draft_id}/confirm"
    assert f'href="{HERE}/applications/{first}"' in page.text
    await send(page)
    assert page.path.endswith("/sent"), page.text
    events = await submitted(intake)
    assert (events[1].surety_id, str(events[1].replaces)) == ("nankai", first)
    await page.get(page.path.removesuffix("/sent"))
    assert f'href="{HERE}/applications/{first}"' in page.text


async def test_what_is_not_returned_is_not_replaced(page, contractor, another, intake):
    open_one = await contractor.apply(works__name="見本橋補修工事", works__contract_date="2026-10-01")
    draft_id = await keep(page, go="confirm", **{"works.name": "見本橋 補修工事"})
    await send(page)
    assert "先の申込に代えて" not in page.text

    await page.post(f"{HERE}/drafts/{draft_id}/replace", {"earlier": open_one})

    assert "次の申込に代わる" not in page.text
    await send(page)
    assert page.status == 409
    assert len(await submitted(intake)) == 1
    for unknown in (await (await another()).apply(), str(uuid.uuid4()), "nonsense"):
        await page.get(f"{HERE}/drafts/{draft_id}/confirm")
        assert (await page.post(f"{HERE}/drafts/{draft_id}/replace", {"earlier": unknown})).status == 404


async def test_a_returned_application_is_used_again_in_its_place(page, contractor, intake):
    products = {"performance": a_performance()}
    application_id = await contractor.apply(products=products, works__name="見本橋補修工事")
    await contractor.hear(returned(application_id, "performance"))

    draft_id = uuid.uuid4()
    await page.get(f"{HERE}/applications/{application_id}")
    await page.post(f"{HERE}/applications/{application_id}/reuse", {"draft": str(draft_id)})

    assert page.path == f"{HERE}/drafts/{draft_id}"
    assert 'value="見本橋補修工事"' in page.text
    assert 'value="5,000,000"' in page.text
    assert "keiri@takasaki-kensetsu.example" in page.text
    await page.get(f"{HERE}/drafts/{draft_id}/confirm")
    await send(page)
    assert page.path.endswith("/sent"), page.text
    events = await submitted(intake)
    assert str(events[1].replaces) == application_id


async def test_a_draft_that_somebody_went_on_with_is_not_begun_again(page, contractor):
    application_id = await contractor.apply(works__name="見本橋補修工事")
    draft_id = uuid.uuid4()
    again = f"{HERE}/applications/{application_id}/reuse", {"draft": str(draft_id)}
    await page.get(f"{HERE}/applications/{application_id}")
    await page.post(*again)
    await keep(page, draft_id, **{"works.name": "別の橋補修工事"})

    await page.post(*again)

    assert 'value="別の橋補修工事"' in page.text
    assert 'value="見本橋補修工事"' not in page.text


async def test_an_open_application_is_used_again_as_a_new_one(page, contractor):
    application_id = await contractor.apply()

    await page.get(f"{HERE}/applications/{application_id}")
    await page.post(f"{HERE}/applications/{application_id}/reuse", {"draft": "nonsense"})

    assert "/drafts/" in page.path
    assert "次の申込に代わる" not in page.text


async def test_nobody_uses_anothers_application(page, another):
    theirs = await (await another()).apply()

    await page.get(f"{HERE}/applications/new")
    assert (await page.post(f"{HERE}/applications/{theirs}/reuse", {"draft": str(uuid.uuid4())})).status == 404


async def test_nothing_is_kept_for_a_form_of_another_page(page, intake):
    path = f"{HERE}/drafts/{uuid.uuid4()}"
    await page.get(f"{HERE}/applications/new")

    assert (await page.post(path, a_typed_form() | {"csrf": "0" * 64})).status == 403
    await page.get(f"{HERE}/applications/new")
    assert (await page.post(path, a_typed_form(), origin="https://elsewhere.example")).status == 403
    assert await intake.pool.fetchval("SELECT count(*) FROM draft") == 0
    assert "/contractor/sign-in" in (await reader(intake).get(path)).path
