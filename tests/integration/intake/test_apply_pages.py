"""FORM, APP, WHO: the pages on which contractors apply and follow, without a browser."""

import re
import uuid

import pytest

from schemas.decisions import ApplicationWithdrawn, Fee, FeeLine, Finding
from schemas.notifications import ApplicationMailUndeliverable, MailUndeliverable
from tests.integration.intake.test_applying import returned
from tests.integration.intake.test_drafts import send, submitted
from tests.integration.intake.told import decided, mail_sent, queued
from tests.integration.intake.typed import a_typed_form, an_e_net_typed_form, found
from tests.support.builders import an_e_net_form
from tests.support.clock import NOON
from tests.support.pages import signed_in

HERE = "/contractor/toto"


@pytest.fixture
async def page(intake, contractor):
    return await signed_in(intake, contractor.person, "takasaki-1")


async def typed(page, *, go="confirm", surety="toto", form=None, **changes):
    """Type the form, press a button, and be where it leads."""
    await page.get(f"/contractor/{surety}/applications/new")
    form = (a_typed_form() if form is None else form) | changes
    await page.post(f"/contractor/{surety}/drafts/{uuid.uuid4()}", form | {"go": go})
    return page


async def test_every_label_of_the_form_is_there(page):
    await page.get(f"{HERE}/applications/new")

    for label in (
        "申込の作成(新規)",
        "申込作成",
        "申込確認",
        "送信完了",
        "請負工事の情報",
        "保証の申込内容",
        "その他",
        "保証申込のヘルプ",
        "保証の申込内容をクリア",
        "インフォメーションをクリア",
        "前払金保証を申し込む",
        "契約保証を申し込む",
        "手続状況",
        "保証契約番号",
        "保証証書の形式について",
        "証書(紙)",
        "電子保証(認証キーを含む)",
        "※電子保証を希望される場合は、発注者が電子保証に対応していることを確認してください。",
        "電子保証対応の発注者はこちらです。",
        "今年度対象額",
        "(出来高予定額または支払限度額)",
        "前払金保証金額",
        "(請負金額もしくは今年度対象額に対する前払金保証金額の割合)",
        "預託金融機関(全角)",
        "再預託利用区分",
        "再預託を利用しない",
        "再預託を利用する",
        "前払金保証料支払方法",
        "一括納付",
        "前払金保証料請求先",
        "保証料計算書(紙)について",
        "※保証料計算書は弊社手続き完了後、保証料計算書一覧メニューからご確認いただけます。",
        "契約保証金額",
        "(請負金額に対する契約保証金額の割合)",
        "契約保証料支払方法",
        "契約保証料請求先",
        "インフォメーション",
        "申込送信先、保証証書受取",
        "申込送信先",
        "電子保証発行完了のお知らせ",
        "※「希望する」場合、弊社手続き完了後にメールを送信します。",
        "メールアドレス",
        "連絡先",
        "担当部署",
        "役職",
        "担当者名",
        "連絡先電話番号",
        "お客様から弊社への連絡事項",
        "弊社からお客様へのお知らせ",
        "ご不明な点は申込先の営業部・支店までお気軽にお問い合わせください。",
    ):
        assert label in page.text, label


async def test_every_fault_is_told_beside_its_field_and_leads_to_its_tab(page):
    await typed(
        page,
        **{
            "works.price_yen": "五千万円",
            "works.contract_date": "2026-02-30",
            "products.advance_payment.deposit_bank": "○○銀行 ××支店",
            "mail_address": "",
        },
    )

    assert page.status == 422
    for message in (
        "金額は数字で入力してください。",
        "日付は2026/04/01のように入力してください。",
        "全角で入力してください(半角スペースが半角です)。",
    ):
        assert page.text.count(message) == 2, message
    assert "必須項目です。" in page.text
    assert "（4件）" in page.text
    assert re.search(r'tab=works#works\.price_yen"', page.text)
    assert re.search(r'tab=products#mail_address"', page.text)
    assert 'value="五千万円"' in page.text


async def test_the_character_that_is_not_full_width_is_named(page):
    await typed(page, **{"products.advance_payment.deposit_bank": "ABC銀行　××支店"})

    assert "「A」が半角です" in page.text


async def test_an_amount_reads_alike_however_it_is_typed(page, intake):
    for text in ("50000000", "50,000,000", "５０，０００，０００", "50 000 000 円", "￥50,000,000"):
        await typed(page, **{"works.price_yen": text})
        assert "50,000,000 円" in page.text, text


async def test_the_ratio_is_of_this_years_amount_where_it_is_given(page):
    await typed(page, **{"products.advance_payment.fiscal_year_amount_yen": "40,000,000"})

    assert "50.0%" in page.text


async def test_the_branch_follows_the_purchaser_until_another_is_chosen(page):
    await typed(page, go="save", **{"branch_id": "", "works.purchaser_id": "omitama"})
    suggested = found(r'<option value="(\w+)" selected>[^<]*支店', page.text)
    path = page.path
    assert suggested != "tochigi"

    await page.post(path, a_typed_form(branch_id=suggested) | {"go": "save"})
    assert re.search(r'<option value="tochigi" selected>[^<]*支店', page.text)
    await page.post(path, a_typed_form(branch_id="tochigi", **{"works.purchaser_id": "omitama"}) | {"go": "save"})
    await page.post(path, a_typed_form(branch_id="tochigi", **{"works.purchaser_id": "shirako"}) | {"go": "save"})


async def test_a_section_is_cleared_and_the_others_stay(page):
    await typed(page, go="clear-products")
    assert 'value="20,000,000"' not in page.text
    assert "himitsu@takasaki-kensetsu.example" in page.text

    await typed(page, go="clear-information")
    assert 'value="20,000,000"' in page.text
    assert "himitsu@takasaki-kensetsu.example" not in page.text


async def test_the_bill_goes_to_the_own_company_at_a_button(page):
    path = "products.performance.fee_bill_to"
    await typed(page, go=f"own:{path}")
    assert f'name="{path}" value="株式会社髙﨑建設"' in page.text

    await typed(page, go="own:works.name", **{"works.name": "見本橋"})
    assert 'value="見本橋"' in page.text


async def test_next_keeps_what_was_typed_and_opens_the_next_tab(page):
    await typed(page, go="products", **{"works.name": "見本橋補修工事"})

    assert 'name="tab" value="products"' in page.text
    assert 'value="見本橋補修工事"' in page.text


async def test_nothing_applied_for_is_a_fault(page):
    await typed(page, **{"products.advance_payment": ""})

    assert page.status == 422
    assert "商品を一つ以上お申し込みください。" in page.text


async def test_a_purchaser_that_takes_no_electronic_certificate_is_told_with_its_reason(page):
    await typed(page, **{"works.contract_date": "2023-04-01"})

    assert page.status == 422
    assert "書面の保証証書をお申し込みください。" in page.text


async def test_e_net_chooses_once_for_all_products_and_is_always_told(page, intake):
    await page.get("/contractor/nankai/applications/new")
    assert "連絡事項等の入力画面" in page.text
    assert "電子交付を希望する" in page.text
    assert "電子保証(認証キーを含む)" not in page.text
    assert "電子保証発行完了のお知らせ" not in page.text
    await typed(page, surety="nankai", form=an_e_net_typed_form())
    assert page.path.endswith("/confirm"), page.text
    assert "電子交付を希望する" in page.text

    await send(page)

    (event,) = await submitted(intake)
    assert (event.surety_id, event.products[0].form, event.completion_mail_wanted) == ("nankai", "electronic", True)
    assert "電子証書・認証キー登録のお知らせ" in page.text


async def test_e_net_needs_the_choice(page):
    await typed(page, surety="nankai", form=an_e_net_typed_form(electronic_delivery=""))

    assert page.status == 422
    assert "保証証書の受取方法" in page.text


async def test_what_is_typed_is_text_and_never_markup(page):
    await typed(page, go="save", **{"works.name": "<script>alert(1)</script>"})

    assert "<script>alert" not in page.text
    assert "<script>alert" not in (await page.get(f"{HERE}/drafts")).text


async def test_home_has_the_menus_and_says_what_is_not_there_yet(page):
    await page.get(f"{HERE}/")

    for text in ("作成する", "確認する", "便利にする", "保証申込 (前払・中間・契約)", "契約保証予約申込 (入札ボンド)"):
        assert text in page.text
    assert "準備中" in page.text
    assert f'href="{HERE}/guarantees"' in page.text
    await page.get("/contractor/nankai/")
    assert "電子証書の確認はこちら" in page.text
    assert "入札ボンド" not in page.text


async def test_home_tells_of_returned_ones_undeliverable_mails_and_drafts(page, contractor, issue):
    back = await contractor.apply(works__name="差戻し工事")
    await contractor.hear(returned(back))
    issued = await issue(await contractor.apply(works__name="不着工事"))
    shared = mail_sent(issued).model_dump(exclude={"sent_at"})
    at = contractor.site.service.runtime.clock.now()
    await contractor.hear(MailUndeliverable(**shared, gave_up_at=at, reason="refused", smtp_code=550))
    await typed(page, go="save")

    await page.get(f"{HERE}/")

    assert "差戻し工事" in page.text
    assert "不着工事" in page.text
    assert "作成中の申込が1件あります" in page.text
    await page.get("/contractor/nankai/")
    assert "差戻し工事" not in page.text
    assert "不着工事" not in page.text
    assert "作成中の申込が" not in page.text


async def test_home_tells_of_a_letter_about_an_application_that_never_arrived(page, contractor):
    back = await contractor.apply(works__name="差戻し不着工事")
    at = contractor.site.service.runtime.clock.now()
    await contractor.hear(
        ApplicationMailUndeliverable(
            application_id=back,
            letter="returned",
            message_id="<a@akashi.example>",
            gave_up_at=at,
            attempts=1,
            reason="refused",
        )
    )

    await page.get(f"{HERE}/")

    assert "差戻し不着工事" in page.text


async def test_status_lists_this_suretys_applications_only(page, contractor):
    await contractor.apply(works__name="東の工事")
    await contractor.post("/api/applications", an_e_net_form(works__name="西の工事"))

    await page.get(f"{HERE}/applications")
    assert "東の工事" in page.text
    assert "西の工事" not in page.text
    assert "受付済" in page.text
    await page.get("/contractor/nankai/applications")
    assert "西の工事" in page.text
    assert "東の工事" not in page.text


async def test_pages_of_status_have_no_gap_and_no_repeat(page, sent):
    events = await sent(25)

    await page.get(f"{HERE}/applications")
    seen = re.findall(r"第\d+号", page.text)
    following = found(r'href="(\?cursor=[^"]+)"', page.text)
    await page.get(f"{HERE}/applications{following}")
    seen += re.findall(r"第\d+号", page.text)

    assert {name.split("　")[-1] for name in (event.works.name for event in events)} == set(seen)


async def test_an_application_is_at_its_own_suretys_portal_and_nobody_elses(page, contractor, another):
    mine, theirs = await contractor.apply(), await (await another()).apply()

    for rest in ("", "/sent", "/standing", "/withdrawal"):
        assert (await page.get(f"/contractor/nankai/applications/{mine}{rest}")).status == 404
        assert (await page.get(f"{HERE}/applications/{theirs}{rest}")).status == 404
    await page.get(f"{HERE}/applications/{mine}")
    assert page.status == 200
    assert (await page.post(f"{HERE}/applications/{theirs}/withdrawal")).status == 404


async def test_one_application_shows_everything_that_was_sent(page, contractor):
    application_id = await contractor.apply(works__jv_name="見本・髙﨑特定建設工事共同企業体")

    await page.get(f"{HERE}/applications/{application_id}")

    for text in (
        "○○銀行　××支店",
        "keiri@takasaki-kensetsu.example",
        "見本・髙﨑特定建設工事共同企業体",
        "40.0%",
        "経理部",
    ):
        assert text in page.text


async def test_a_returned_product_shows_its_reasons_and_the_desks_message(page, contractor):
    application_id = await contractor.apply()
    reason = Finding(
        rule="DEC-1", product="advance_payment", message_ja="割合が上限を超えています。", message_en="Beyond the limit."
    )
    event = returned(application_id)
    outcome = event.outcomes[0].model_copy(update={"reasons": (reason,)})
    await contractor.hear(event.model_copy(update={"outcomes": (outcome,), "message": "金額をご確認ください。"}))

    await page.get(f"{HERE}/applications/{application_id}")

    assert "割合が上限を超えています。" in page.text
    assert "金額をご確認ください。" in page.text
    assert "差戻し" in page.text


async def test_the_standing_answers_only_what_is_new_and_stops_at_the_end(page, contractor, clock):
    application_id = await contractor.apply()
    await page.get(f"{HERE}/applications/{application_id}")
    asks = found(r'hx-get="([^"]+)"', page.text).replace("&amp;", "&")

    assert (await page.get(asks)).status == 204
    await contractor.hear(queued(application_id))
    await page.get(asks)
    assert page.status == 200
    assert "審査中" in page.text
    assert "<html" not in page.text
    await page.get(asks.split("until=")[0] + "until=0")
    assert "自動更新を終了しました" in page.text
    assert "hx-get" not in page.text
    await contractor.hear(returned(application_id))
    await page.get(asks)
    assert "差戻し" in page.text
    assert "hx-get" not in page.text


async def test_a_withdrawal_is_asked_for_after_a_confirmation(page, contractor, intake):
    application_id = await contractor.apply()
    path = f"{HERE}/applications/{application_id}"

    await page.get(f"{path}/withdrawal")
    assert await intake.outbox("WithdrawalRequested") == []
    await page.post(f"{path}/withdrawal")

    assert "取下げを依頼しました。" in page.text
    assert "取下げ依頼中" in page.text
    assert len(await intake.outbox("WithdrawalRequested")) == 1
    assert (await page.get(f"{path}/withdrawal")).path == path


async def test_a_withdrawal_that_comes_too_late_is_told_as_such(page, contractor):
    application_id = await contractor.apply()
    path = f"{HERE}/applications/{application_id}"
    await page.get(f"{path}/withdrawal")
    await contractor.hear(ApplicationWithdrawn(application_id=application_id, withdrawn_at=NOON))

    await page.post(f"{path}/withdrawal")

    assert "取下げを依頼できませんでした" in page.text
    assert "取下げ済" in page.text


async def test_the_fee_is_kept_with_the_outcome(contractor):
    application_id = await contractor.apply()
    fee = Fee(lines=(FeeLine(base_yen=20_000_000, rate_percent="0.380", fee_yen=76_000),), fee_yen=76_000)
    event = decided(application_id)
    outcome = event.outcomes[0].model_copy(update={"fee": fee})

    await contractor.hear(event.model_copy(update={"outcomes": (outcome,)}))

    (product,) = (await contractor.standing(application_id))["products"]
    assert product["fee"] == fee.model_dump(mode="json")


async def test_the_wishes_of_the_form_are_told(contractor, intake):
    await contractor.apply(returned_mail_wanted=True, viewed_mail_wanted=True)
    await contractor.apply()

    wishes = [(event.returned_mail_wanted, event.viewed_mail_wanted) for event in await submitted(intake)]
    assert wishes == [(True, True), (False, False)]
