"""What a contractor does once a certificate is issued: look it up, check it, fetch the key, hand it in."""

import contextlib
import os
import uuid
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.async_api import Error, Page

from tests.support.browser import PHONE, WIDE, Browser
from tests.support.builders import a_performance, an_application_form, an_e_net_form
from tests.support.running import Client, RunningStack, eventually


@dataclass
class Company:
    """A contractor with guarantees of both families."""

    login: str
    client: Client
    #: 前払金保証 and 契約保証 at 東都, and one at 南海.
    advance: str
    performance: str
    e_net: str


@pytest.fixture(scope="module")
async def company(stack: RunningStack) -> Company:
    name = f"papers-{uuid.uuid4().hex[:8]}"
    client = await stack.contractor(name)
    login = await stack.sign_in_of(client, name)
    form = an_application_form(
        works__name="県道見本線　見本橋架替工事（上部工）その２",
        works__jv_name="髙﨑・見本特定建設工事共同企業体",
        products__performance=a_performance(),
    )
    await client.apply(form, "first")
    await client.apply(an_e_net_form(works__name="村道見本１号線道路改良工事"), "second")

    async def all_there() -> bool:
        return len((await client.document("/api/guarantees"))["items"]) == 3

    await eventually(all_there, 60)
    numbers = {
        (item["purchaser_id"], item["product"]): item["contract_number"]
        for item in (await client.document("/api/guarantees"))["items"]
    }
    return Company(
        login,
        client,
        numbers["tochigi", "advance_payment"],
        numbers["tochigi", "performance"],
        numbers["yomitan", "advance_payment"],
    )


async def download(page: Page, press: str) -> tuple[str, bytes]:
    """Name and contents of the file behind a button or link."""
    async with page.expect_download() as waiting:
        await page.locator(press).first.click()
    file = await waiting.value
    content = Path(await file.path()).read_bytes()
    if folder := os.environ.get("AKASHI_SHOTS"):
        (Path(folder) / file.suggested_filename).write_bytes(content)
    return file.suggested_filename, content


@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["wide", "phone"])
@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "plain"])
async def test_from_the_list_to_the_key_and_its_file(
    size: dict[str, int], scripts: bool, stack: RunningStack, browser: Browser, company: Company
) -> None:
    async with browser.person(stack.url("intake"), "contractor", company.login, size=size, scripts=scripts) as screen:
        page = screen.page
        look = screen.is_sound if scripts else screen.picture
        mark = "" if scripts else "-plain"
        await screen.go("/contractor/toto/guarantees")
        await look(f"list-applied{mark}")
        await page.get_by_role("link", name="電子保証 (認証キー)").click()
        await look(f"list{mark}")
        assert "全1ページ(2件)中の1ページ目を表示しています" in await page.inner_text("main")
        await page.get_by_role("link", name=f"詳細 {company.advance}").click()
        await look(f"guarantee{mark}")
        await page.get_by_role("button", name="認証キーを表示").click()
        await page.locator(".key").wait_for()
        await look(f"guarantee-key{mark}")
        key = await page.locator(".key").inner_text()
        assert len(key) == 12
        name, content = await download(page, 'form[action$="key-notice.pdf"] button')
        assert name == f"認証キーのお知らせ_{company.advance}.pdf"
        assert content.startswith(b"%PDF")
        await page.reload()
        await page.get_by_role("link", name="発注者への提出方法を確認する").click()
        await look(f"submission{mark}")
        assert company.performance in await page.inner_text("main")


async def test_the_certificate_opens_in_a_window_of_its_own_and_closes_again(
    stack: RunningStack, browser: Browser, company: Company
) -> None:
    async with browser.person(stack.url("intake"), "contractor", company.login) as screen:
        page = screen.page
        await screen.go(f"/contractor/toto/guarantees/{company.advance}")
        async with page.context.expect_page() as opening:
            await page.get_by_role("link", name="選択").click()
        window = await opening.value
        await window.wait_for_load_state()
        screen.page = window
        await screen.is_sound("certificate")
        name, content = await download(window, 'a[href*="certificate.pdf"]')
        assert name == f"保証証書_{company.advance}.pdf"
        assert b"ETSI.CAdES.detached" in content
        if folder := os.environ.get("AKASHI_SHOTS"):
            await window.pdf(path=Path(folder) / "certificate-print.pdf", format="A4")
        assert await window.get_by_role("button", name="印刷").is_visible()
        async with window.expect_event("close"):
            # The window may be gone before the driver hears that its click was made.
            with contextlib.suppress(Error):
                await window.get_by_role("button", name="閉じる").click()


async def test_the_certificate_is_readable_on_a_telephone_and_without_scripts(
    stack: RunningStack, browser: Browser, company: Company
) -> None:
    path = f"/contractor/toto/guarantees/{company.performance}/certificate"
    async with browser.person(stack.url("intake"), "contractor", company.login, size=PHONE) as screen:
        await screen.go(path)
        await screen.is_sound("certificate")
    async with browser.person(stack.url("intake"), "contractor", company.login, scripts=False) as screen:
        await screen.go(path)
        assert not await screen.page.get_by_role("button", name="印刷").is_visible()
        assert await screen.page.get_by_role("link", name="PDFを保存").is_visible()


@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["wide", "phone"])
async def test_e_nets_way_by_keyboard(
    size: dict[str, int], stack: RunningStack, browser: Browser, company: Company
) -> None:
    async with browser.person(stack.url("intake"), "contractor", company.login, size=size) as screen:
        page = screen.page
        await screen.go("/contractor/nankai/certificates")
        await screen.is_sound("e-net-list")
        await page.get_by_role("link", name=company.e_net).focus()
        await page.keyboard.press("Enter")
        await page.get_by_role("button", name="「認証キー」の表示").wait_for()
        await screen.is_sound("e-net-certificate")
        await page.get_by_role("button", name="「認証キー」の表示").focus()
        await page.keyboard.press("Enter")
        await page.locator(".key").wait_for()
        await screen.is_sound("e-net-key")
        name, _ = await download(page, 'form[action$="key-notice.pdf"] button')
        assert name == f"認証キー等のお知らせ_{company.e_net}.pdf"


@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["wide", "phone"])
async def test_lists_that_find_nothing_and_periods_that_are_none(
    size: dict[str, int], stack: RunningStack, browser: Browser, company: Company
) -> None:
    async with browser.person(stack.url("intake"), "contractor", company.login, size=size) as screen:
        page = screen.page
        await screen.go("/contractor/toto/guarantees?tab=electronic")
        await page.get_by_label("工事名").fill("どこにもない工事")
        await page.get_by_role("button", name="検索する").click()
        assert "条件に合う保証契約はありません" in await page.inner_text("main")
        await screen.is_sound("list-nothing")
        await screen.go("/contractor/toto/guarantees?tab=bid-bond")
        await screen.is_sound("list-bid-bond")
        await screen.go("/contractor/toto/guarantees?tab=electronic&from=2026-11-20&to=2026-11-01")
        assert "終わりが始まりより前です" in await page.get_by_role("alert").inner_text()
        screen.complaints = [said for said in screen.complaints if "422" not in said]
        await screen.is_sound("list-fault")
        await screen.go("/contractor/toto/guarantees/10226-000019")
        screen.complaints = [said for said in screen.complaints if "404" not in said]
        await screen.is_sound("not-there")


@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["wide", "phone"])
async def test_the_fee_statement_is_a_file(
    size: dict[str, int], stack: RunningStack, browser: Browser, company: Company
) -> None:
    async with browser.person(stack.url("intake"), "contractor", company.login, size=size) as screen:
        await screen.go("/contractor/toto/fee-statements")
        await screen.is_sound("fees")
        name, content = await download(screen.page, f'a[href*="{company.advance}/fee-statement.pdf"]')
        assert name == f"保証料計算書_{company.advance}.pdf"
        assert content.startswith(b"%PDF")


async def test_the_pages_speak_english_too(stack: RunningStack, browser: Browser, company: Company) -> None:
    async with browser.person(stack.url("intake"), "contractor", company.login) as screen:
        await screen.go("/contractor/language/en?next=/contractor/toto/guarantees")
        await screen.is_sound("list-en")
        await screen.go(f"/contractor/toto/guarantees/{company.advance}")
        await screen.is_sound("guarantee-en")
        await screen.go(f"/contractor/toto/guarantees/{company.advance}/submission")
        await screen.is_sound("submission-en")


async def test_the_file_may_be_fetched_again_without_leaving_the_page(
    stack: RunningStack, browser: Browser, company: Company
) -> None:
    async with browser.person(stack.url("intake"), "contractor", company.login) as screen:
        page = screen.page
        await screen.go(f"/contractor/toto/guarantees/{company.performance}")
        first, _ = await download(page, 'form[action$="key-notice.pdf"] button')
        await page.locator("form[data-again]:not([data-sent])").wait_for()
        second, _ = await download(page, 'form[action$="key-notice.pdf"] button')
        assert first == second


async def test_the_subject_of_the_mail_is_copied(stack: RunningStack, browser: Browser, company: Company) -> None:
    async with browser.person(stack.url("intake"), "contractor", company.login) as screen:
        page = screen.page
        await page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        await screen.go(f"/contractor/toto/guarantees/{company.advance}/submission")
        await page.get_by_role("button", name="コピー").click()
        await page.get_by_text("コピーしました").wait_for()
        copied = await page.evaluate("navigator.clipboard.readText()")
        assert copied == await page.get_by_label("電子メールの件名（例）").input_value()
        assert company.advance in copied
