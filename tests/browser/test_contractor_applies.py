"""A contractor applies, follows, writes and takes back: at a desk and on a phone, with scripts and without."""

import re
import uuid

import pytest
from playwright.async_api import Page, expect

from tests.support.browser import PHONE, WIDE, Browser, Screen
from tests.support.builders import an_application_form
from tests.support.running import Client, RunningStack, eventually

HERE = "/contractor/toto"


@pytest.fixture(scope="module")
async def company(stack: RunningStack) -> tuple[str, Client]:
    """A contractor's log-in, and the same person with a token."""
    name = f"applies-{uuid.uuid4().hex[:8]}"
    client = await stack.contractor(name)
    return await stack.sign_in_of(client, name), client


async def open_tab(page: Page, name: str) -> None:
    await page.locator(".tabs").get_by_role("button", name=name).click()


async def fill_works(page: Page, name: str) -> None:
    await page.get_by_label("工事名").fill(name)
    await page.locator("[id='works.kind']").check()
    await page.get_by_label("発注者名").select_option("tochigi")
    await page.get_by_label("請負金額", exact=False).first.fill("５０，０００，０００")
    await page.get_by_label("請負契約日").fill("2026-10-01")
    await page.get_by_label("工期（始期）").fill("2026-10-02")
    await page.get_by_label("工期（終期）").fill("2027-03-19")


async def fill_advance_payment(page: Page, *, bank: str = "○○銀行　××支店") -> None:
    part = page.locator("[id='products.advance_payment-part']")
    await part.get_by_label("前払金保証を申し込む").check()
    await part.locator("[id='products.advance_payment.amount_yen']").fill("20,000,000")
    await part.locator("[id='products.advance_payment.deposit_bank']").fill(bank)
    await part.get_by_label("再預託を利用しない").check()
    await part.locator("[id='products.advance_payment.fee_bill_to']").fill("株式会社髙﨑建設")


async def sent_application(page: Page) -> str:
    await page.wait_for_url(re.compile(r"/sent$"))
    return page.url.split("/")[-2]


@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["wide", "phone"])
@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "plain"])
async def test_an_application_is_made_checked_sent_and_followed(
    size: dict[str, int], scripts: bool, stack: RunningStack, browser: Browser, company: tuple[str, Client]
) -> None:
    kind = "scripts" if scripts else "plain"
    async with browser.person(stack.url("intake"), "contractor", company[0], size=size, scripts=scripts) as screen:
        page = screen.page
        # What looks for faults is a script itself.
        look = screen.is_sound if scripts else screen.picture
        await screen.go(f"{HERE}/")
        await look(f"home-{kind}")
        await page.get_by_role("link", name="保証申込 (前払・中間・契約)").click()
        await look(f"new-{kind}")
        await fill_works(page, f"県道見本線　見本橋補修工事（{kind}{size['width']}）")
        await page.get_by_role("button", name="次へ").first.click()
        await expect(page.get_by_role("heading", name="保証の申込内容")).to_be_visible()
        await fill_advance_payment(page, bank="○○銀行 ××支店")
        await page.get_by_label("契約保証を申し込む").check()
        await page.locator("[id='products.performance.amount_yen']").fill("5000000")
        if scripts:
            await expect(page.locator("[id='products.advance_payment-ratio']")).to_have_text("40.0%")
            await expect(page.get_by_label("申込送信先")).to_have_value("tochigi")
        await page.locator("[data-fill='products.performance.fee_bill_to']").first.click()
        await expect(page.locator("[id='products.performance.fee_bill_to']")).to_have_value("株式会社髙﨑建設")
        await page.get_by_label("担当者名").fill("𠮷田　﨑子")
        await page.get_by_label("お客様から弊社への連絡事項").fill(
            "着工日が決まりましたらご連絡します。\nよろしくお願いします。"
        )
        await look(f"products-{kind}")
        await page.get_by_role("button", name="申込内容の確認へ").locator("visible=true").first.click()

        await expect(page.get_by_role("alert")).to_contain_text("（2件）")
        # What a browser always says of a form that was refused.
        assert [said for said in screen.complaints if "422" not in said] == []
        screen.complaints.clear()
        await look(f"faults-{kind}")
        await page.get_by_role("alert").get_by_role("link", name=re.compile("預託金融機関")).click()
        bank = page.locator("[id='products.advance_payment.deposit_bank']")
        await bank.fill("○○銀行　××支店")
        await page.get_by_label("メールアドレス").fill("keiri@takasaki-kensetsu.example")
        await page.locator("[data-tab='others']").click()
        await page.locator("[id='returned_mail_wanted']").check()
        await look(f"others-{kind}")
        await page.get_by_role("button", name="申込内容の確認へ").locator("visible=true").click()

        await expect(page.get_by_role("heading", name="申込の確認")).to_be_visible()
        await look(f"confirm-{kind}")
        await page.get_by_role("button", name="送信する").click()
        application_id = await sent_application(page)
        await look(f"sent-{kind}")

        await follow(page, scripts=scripts)
        await look(f"application-{kind}")
        await page.get_by_label("お客様から弊社への連絡事項").fill("認証キーは本日提出します。")
        await page.get_by_role("button", name="連絡事項を送信する").click()
        await expect(page.locator(".talk")).to_contain_text("認証キーは本日提出します。")
        await look(f"talk-{kind}")
        await screen.go(f"{HERE}/applications")
        await expect(page.locator(f"a[href$='{application_id}']")).to_be_visible()
        await look(f"applications-{kind}")


async def follow(page: Page, *, scripts: bool) -> None:
    """From 送信完了 until it is issued: by itself, or at the link."""
    await page.get_by_role("link", name="この申込の状況を見る").click()
    if scripts:
        await expect(page.locator("#standing")).to_contain_text("発行済", timeout=60_000)
    else:
        await eventually(lambda: updated(page), 60)


async def updated(page: Page) -> bool:
    await page.get_by_role("link", name="最新の状況に更新").click()
    return "発行済" in await page.locator("#standing").inner_text()


async def test_the_whole_way_goes_by_keyboard(
    stack: RunningStack, browser: Browser, company: tuple[str, Client]
) -> None:
    async with browser.person(stack.url("intake"), "contractor", company[0]) as screen:
        page = screen.page
        await screen.go(f"{HERE}/applications/new")
        press, type_ = page.keyboard.press, page.keyboard.type

        async def on_to(target: str) -> None:
            """Tab until the field has the focus."""
            for _ in range(60):
                if await page.evaluate("document.activeElement.id || document.activeElement.value") == target:
                    return
                await press("Tab")
            raise AssertionError(f"{target} is not reached by Tab")

        await page.locator(".tabs button").first.focus()
        await on_to("works.name")
        await type_("町道見本線　鍵盤工事")
        await on_to("works.kind")
        await press("Space")
        await on_to("works.purchaser_id")
        await page.locator("[id='works.purchaser_id']").select_option("tochigi")
        await on_to("works.price_yen")
        await type_("50000000")
        for name, day in (("contract_date", "2026-10-01"), ("term_from", "2026-10-02"), ("term_to", "2027-03-19")):
            await page.locator(f"[id='works.{name}']").fill(day)
        await on_to("products")
        await press("Enter")
        await page.wait_for_url(re.compile("tab=products"))
        await on_to("products.advance_payment")
        await press("Space")
        await on_to("products.advance_payment.amount_yen")
        await type_("20000000")
        await on_to("products.advance_payment.deposit_bank")
        await page.keyboard.insert_text("○○銀行　××支店")
        await on_to("products.advance_payment.redeposit")
        await press("Space")
        await on_to("own:products.advance_payment.fee_bill_to")
        await press("Enter")
        await on_to("mail_address")
        await type_("keiri@takasaki-kensetsu.example")
        await on_to("confirm")
        await press("Enter")
        await page.wait_for_url(re.compile("/confirm$"))
        await page.get_by_role("button", name="送信する").focus()
        await press("Enter")
        await sent_application(page)


async def test_tabs_keep_what_was_typed_and_a_draft_keeps_itself(
    stack: RunningStack, browser: Browser, company: tuple[str, Client]
) -> None:
    async with browser.person(stack.url("intake"), "contractor", company[0]) as screen:
        page = screen.page
        await screen.go(f"{HERE}/applications/new")
        await page.get_by_label("工事名").fill("自動保存工事")
        await open_tab(page, "その他")
        await expect(page.get_by_label("工事名")).to_be_hidden()
        await open_tab(page, "請負工事の情報")
        await expect(page.get_by_label("工事名")).to_have_value("自動保存工事")
        await expect(page.locator("[data-autosaved]")).to_contain_text("自動保存しました")
        assert "/drafts/" in page.url
        await page.reload()
        await expect(page.get_by_label("工事名")).to_have_value("自動保存工事")
        await screen.go(f"{HERE}/drafts")
        await screen.is_sound("drafts")
        await page.get_by_role("link", name="削除 自動保存工事").click()
        await screen.is_sound("delete")
        await page.get_by_role("button", name="削除する").click()
        await expect(page.get_by_role("link", name="自動保存工事")).to_have_count(0)


async def test_a_section_is_cleared_when_the_person_says_so(
    stack: RunningStack, browser: Browser, company: tuple[str, Client]
) -> None:
    async with browser.person(stack.url("intake"), "contractor", company[0]) as screen:
        page = screen.page
        await screen.go(f"{HERE}/applications/new?tab=products")
        await fill_advance_payment(page)
        page.once("dialog", lambda dialog: dialog.dismiss())
        await page.get_by_role("button", name="保証の申込内容をクリア").click()
        amount = page.locator("[id='products.advance_payment.amount_yen']")
        await expect(amount).to_have_value("20,000,000")
        page.once("dialog", lambda dialog: dialog.accept())
        await page.get_by_role("button", name="保証の申込内容をクリア").click()
        await expect(page.get_by_role("status").first).to_contain_text("クリアしました")
        await expect(amount).to_have_value("")


async def test_the_ratio_while_typing_is_the_ratio_that_is_sent(
    stack: RunningStack, browser: Browser, company: tuple[str, Client]
) -> None:
    async with browser.person(stack.url("intake"), "contractor", company[0]) as screen:
        page = screen.page
        await screen.go(f"{HERE}/applications/new")
        await page.get_by_label("工事名").fill("割合工事")
        price = page.locator("[id='works.price_yen']")
        for whole, amount, ofyear in ((50_000_000, 22_225_000, ""), (3, 1, ""), (2_000, 1, ""), (9, 5, "８００")):
            await open_tab(page, "請負工事の情報")
            await price.fill(str(whole))
            await open_tab(page, "保証の申込内容")
            await page.get_by_label("前払金保証を申し込む", exact=True).check()
            await page.locator("[id='products.advance_payment.fiscal_year_amount_yen']").fill(ofyear)
            await page.locator("[id='products.advance_payment.amount_yen']").fill(str(amount))
            shown = await page.locator("[id='products.advance_payment-ratio']").inner_text()
            await page.get_by_role("button", name="一時保存").locator("visible=true").last.click()
            await expect(page.get_by_role("status").first).to_contain_text("一時保存しました")
            answer = await page.request.get(page.url)
            assert f">{shown}</output>" in await answer.text()


@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["wide", "phone"])
async def test_e_nets_own_way(
    size: dict[str, int], stack: RunningStack, browser: Browser, company: tuple[str, Client]
) -> None:
    async with browser.person(stack.url("intake"), "contractor", company[0], size=size) as screen:
        page = screen.page
        await screen.go("/contractor/")
        await screen.is_sound("choose")
        await screen.go("/contractor/nankai/")
        await screen.is_sound("e-net-home")
        await page.locator(".big").get_by_role("link", name="保証申込").click()
        await fill_works(page, f"村道見本線（{size['width']}）")
        await page.get_by_label("発注者名").select_option("yomitan")
        await page.get_by_role("button", name="次へ").first.click()
        await fill_advance_payment(page)
        await screen.is_sound("e-net-products")
        await page.get_by_role("button", name="次へ").locator("visible=true").click()
        await page.get_by_label("電子交付を希望する").check()
        await page.get_by_label("メールアドレス").fill("keiri@takasaki-kensetsu.example")
        await screen.is_sound("e-net-others")
        await page.get_by_role("button", name="申込内容の確認へ").locator("visible=true").click()
        await screen.is_sound("e-net-confirm")
        await page.get_by_role("button", name="送信する").click()
        await sent_application(page)
        await screen.is_sound("e-net-sent")


async def open_for_the_desk(client: Client, name: str) -> str:
    """An application that the rules leave to a person."""
    form = an_application_form(works__name=name, products__advance_payment__amount_yen=25_000_000)
    return await client.apply(form, uuid.uuid4().hex)


async def test_an_open_application_is_taken_back(
    stack: RunningStack, browser: Browser, company: tuple[str, Client]
) -> None:
    application_id = await open_for_the_desk(company[1], "取下げ工事")
    async with browser.person(stack.url("intake"), "contractor", company[0]) as screen:
        page = screen.page
        await screen.go(f"{HERE}/applications/{application_id}")
        await expect(page.locator("#standing")).to_contain_text("審査中", timeout=60_000)
        await screen.is_sound("queued")
        await page.get_by_role("link", name="取下げを依頼する").click()
        await screen.is_sound("withdrawal")
        await page.get_by_role("button", name="取下げを依頼する").click()
        await expect(page.locator("#standing")).to_contain_text("取下げ済", timeout=60_000)
        await screen.is_sound("withdrawn")


async def test_a_returned_application_comes_back_with_its_reason_and_is_sent_again(
    stack: RunningStack, browser: Browser, company: tuple[str, Client]
) -> None:
    application_id = await open_for_the_desk(company[1], "差戻し工事")
    desk = await stack.desk("toto")

    async def is_queued() -> bool:
        return (await desk.call("GET", f"/api/desk/applications/{application_id}")).status_code == 200

    await eventually(is_queued, 60)
    reason = {"message": "保証金額を確認してください。"}
    await desk.call("POST", f"/api/desk/applications/{application_id}/return", reason)
    async with browser.person(stack.url("intake"), "contractor", company[0]) as screen:
        page = screen.page
        await screen.go(f"{HERE}/applications/{application_id}")
        await expect(page.locator("#standing")).to_contain_text("保証金額を確認してください。", timeout=60_000)
        await screen.is_sound("returned")
        await screen.go(f"{HERE}/")
        await screen.is_sound("home-news")
        await page.get_by_role("link", name="差戻し工事").click()
        await page.get_by_role("button", name="この申込を再利用").click()
        await screen.is_sound("reused")
        await open_tab(page, "保証の申込内容")
        await page.locator("[id='products.advance_payment.amount_yen']").fill("20,000,000")
        await screen.is_sound("reused-products")
        await page.get_by_role("button", name="申込内容の確認へ").locator("visible=true").first.click()
        await page.get_by_role("button", name="送信する").click()
        await sent_application(page)
        await screen.go(f"{HERE}/")
        await expect(page.get_by_text("差し戻された申込があります")).to_have_count(0)


@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["wide", "phone"])
async def test_what_one_surety_returned_is_sent_to_another(
    size: dict[str, int], stack: RunningStack, browser: Browser, company: tuple[str, Client]
) -> None:
    name = f"村道見本線　他社差戻し（{size['width']}）"
    form = an_application_form(
        works__name=name, works__purchaser_id="yomitan", products__advance_payment__amount_yen=25_000_000
    )
    application_id = await company[1].apply(form, uuid.uuid4().hex)
    desk = await stack.desk("toto")

    async def is_returned() -> bool:
        path = f"/api/desk/applications/{application_id}/return"
        return (await desk.call("POST", path, {"message": "貴社の与信枠を超えています。"})).status_code < 300

    await eventually(is_returned, 60)
    async with browser.person(stack.url("intake"), "contractor", company[0], size=size) as screen:
        page = screen.page
        await screen.go(f"{HERE}/applications/{application_id}")
        await expect(page.locator("#standing")).to_contain_text("差戻し", timeout=60_000)
        await screen.go("/contractor/nankai/applications/new")
        await fill_works(page, name)
        await page.get_by_label("発注者名").select_option("yomitan")
        await page.get_by_role("button", name="次へ").first.click()
        await fill_advance_payment(page)
        await page.get_by_role("button", name="次へ").locator("visible=true").click()
        await page.get_by_label("電子交付を希望する").check()
        await page.get_by_label("メールアドレス").fill("keiri@takasaki-kensetsu.example")
        await page.get_by_role("button", name="申込内容の確認へ").locator("visible=true").click()
        await page.get_by_role("button", name="送信する").click()
        await expect(page.get_by_role("heading", name="すでに申込があります")).to_be_visible()
        screen.complaints.clear()
        await screen.is_sound("already")
        await page.get_by_role("button", name="先の申込に代えて確認に進む").click()
        await screen.is_sound("in-its-place")
        await page.get_by_role("button", name="送信する").click()
        await sent_application(page)


async def test_in_english(stack: RunningStack, browser: Browser, company: tuple[str, Client]) -> None:
    async with browser.person(stack.url("intake"), "contractor", company[0]) as screen:
        await english(screen)
        for path, name in (("", "home"), ("applications/new", "new"), ("applications/new?tab=products", "products")):
            await screen.go(f"{HERE}/{path}")
            await screen.is_sound(f"english-{name}")


async def english(screen: Screen) -> None:
    await screen.go("/contractor/")
    await screen.page.get_by_role("link", name="English").click()
