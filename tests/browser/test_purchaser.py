"""The purchaser's portal in a real browser: number and key in; certificate, history and files out."""

import io
import uuid
from dataclasses import dataclass, field

import pypdf
import pytest
from playwright.async_api import Download, Page

from tests.support.browser import PASSWORD, PHONE, WIDE, Browser, Screen
from tests.support.builders import an_application_form
from tests.support.running import RunningStack, eventually

PLACE = "/purchaser/certificates"


@dataclass(frozen=True)
class Handed:
    """What the contractor handed over, and who may use it."""

    number: str
    key: str = field(repr=False)
    works: str


@pytest.fixture(scope="session")
async def handed(stack: RunningStack) -> Handed:
    """A certificate for works of 栃木県, arrived at the registry."""
    name = f"hands-{uuid.uuid4().hex[:8]}"
    contractor = await stack.contractor(name)
    works = f"県道見本線道路改良工事　{name}"
    await contractor.apply(an_application_form(works__name=works), uuid.uuid4().hex)

    async def arrived() -> bool:
        found = await contractor.all_items("/api/guarantees")
        return bool(found) and found[0]["contract_number"] is not None

    await eventually(arrived, 60)
    number = (await contractor.all_items("/api/guarantees"))[0]["contract_number"]
    key = (await contractor.document(f"/api/guarantees/{number}/authentication-key"))["authentication_key"]
    return Handed(number, key, works)


@pytest.fixture
async def login(stack: RunningStack) -> str:
    """A new person of 栃木県, who has looked at nothing yet."""
    name = f"view-{uuid.uuid4().hex[:8]}"
    return await stack.sign_in_of(await stack.purchaser("tochigi"), name)


async def _look_up(page: Page, number: str, key: str) -> None:
    await page.get_by_label("保証契約番号").fill(number)
    await page.get_by_label("認証キー").fill(key)
    await page.get_by_role("button", name="照会する").click()


async def _text_of(download: Download) -> str:
    return "".join(page.extract_text() for page in pypdf.PdfReader(await download.path()).pages)


async def _save(screen: Screen, link: str) -> tuple[str, str]:
    """Name and text of the PDF that a link gives."""
    async with screen.page.expect_download() as waiting:
        await screen.page.get_by_role("link", name=link).click()
    download = await waiting.value
    return download.suggested_filename, await _text_of(download)


async def test_by_keyboard_from_the_code_on_the_notice_to_the_certificate(
    stack: RunningStack, browser: Browser, login: str, handed: Handed
) -> None:
    async with browser.window(stack.url("registry"), "purchaser") as screen:
        page, keyboard = screen.page, screen.page.keyboard
        await screen.go(f"{PLACE}?number={handed.number}")
        await screen.is_sound("sign-in")
        await page.locator("#login").focus()
        await keyboard.type(login)
        await keyboard.press("Tab")
        await keyboard.type(PASSWORD)
        await keyboard.press("Enter")
        await page.wait_for_url(f"**{PLACE}?number={handed.number}")
        assert await page.get_by_label("保証契約番号").input_value() == handed.number
        await screen.is_sound("form-empty")
        await page.locator("#number").focus()
        await keyboard.press("Tab")
        await keyboard.type(handed.key)
        await keyboard.press("Enter")
        await page.wait_for_url(f"**{PLACE}/{handed.number}")
        await screen.is_sound("certificate")
        assert await page.locator(".certificate").get_by_text(handed.works).is_visible()
        assert handed.key not in await page.content()
        await page.reload()
        await screen.go(PLACE)
        assert await page.get_by_role("link", name=f"表示 （{handed.number}）").is_visible()
        await screen.is_sound("form-recent")


@pytest.mark.parametrize(("size", "scripts"), [(WIDE, True), (PHONE, True), (PHONE, False)])
async def test_certificate_and_record_are_saved(  # noqa: PLR0917 - fixtures, by name
    size: dict[str, int], scripts: bool, stack: RunningStack, browser: Browser, login: str, handed: Handed
) -> None:
    async with browser.person(stack.url("registry"), "purchaser", login, size=size, scripts=scripts) as screen:
        await _look_up(screen.page, handed.number, handed.key)
        await screen.page.wait_for_url(f"**{PLACE}/{handed.number}")
        if scripts:
            await screen.is_sound("certificate")
        else:
            await screen.picture("certificate-no-scripts")
        assert await screen.page.get_by_role("button", name="印刷").is_visible() == scripts
        name, says = await _save(screen, "PDFを保存")
        assert name == f"保証証書_{handed.number}.pdf"
        assert handed.number in says
        name, says = await _save(screen, "照会記録（PDF）を保存")
        assert name.startswith(f"電子証書照会記録_{handed.number}_")
        assert "栃木県" in says
        assert "契約 見本" in says
        assert handed.key not in says
        for path, title in (("/purchaser/views", "looks"), ("/purchaser/help", "help")):
            await screen.go(path)
            if scripts:
                await screen.is_sound(title)


async def test_on_paper_there_is_the_certificate_alone(
    stack: RunningStack, browser: Browser, login: str, handed: Handed
) -> None:
    async with browser.person(stack.url("registry"), "purchaser", login) as screen:
        await _look_up(screen.page, handed.number, handed.key)
        await screen.page.wait_for_url(f"**{PLACE}/{handed.number}")
        await screen.page.emulate_media(media="print")
        await screen.picture("print")
        for gone in ("nav >> nth=0", ".crumbs", "h1", ".opened-actions", "#history-title", ".foot"):
            assert not await screen.page.locator(gone).is_visible(), gone
        assert await screen.page.locator(".certificate").is_visible()
        printed = await screen.page.pdf(format="A4", print_background=True)
        assert len(pypdf.PdfReader(io.BytesIO(printed)).pages) == 1


async def test_a_typing_error_is_told_before_anything_is_sent_and_the_key_stays(
    stack: RunningStack, browser: Browser, login: str, handed: Handed
) -> None:
    wrong = handed.number[:-1] + ("0" if handed.number[-1] != "0" else "2")
    async with browser.person(stack.url("registry"), "purchaser", login) as screen:
        page, sent = screen.page, []
        page.on("request", lambda request: sent.append(request.method) if request.method == "POST" else None)
        await _look_up(page, wrong, handed.key)
        assert await page.get_by_text("保証契約番号の入力に誤りがあります").is_visible()
        assert await page.get_by_label("認証キー").input_value() == handed.key
        assert await page.evaluate("document.activeElement.id") == "number"
        await screen.is_sound("typing-error")
        await page.get_by_label("認証キー").fill("O" + handed.key[1:])
        await page.get_by_label("認証キー").press("Tab")
        assert await page.get_by_text("英大文字の「O」（オー）は、認証キーに使われない文字です").is_visible()
        assert sent == []
        await _look_up(page, handed.number, handed.key)
        await page.wait_for_url(f"**{PLACE}/{handed.number}")


async def test_without_scripts_the_server_tells_the_same(
    stack: RunningStack, browser: Browser, login: str, handed: Handed
) -> None:
    wrong = handed.number[:-1] + ("0" if handed.number[-1] != "0" else "2")
    async with browser.person(stack.url("registry"), "purchaser", login, scripts=False) as screen:
        await _look_up(screen.page, wrong, "O" + handed.key[1:])
        await screen.picture("typing-error-no-scripts")
        says = await screen.page.locator("main").inner_text()
        assert "保証契約番号の入力に誤りがあります" in says
        assert "英大文字の「O」（オー）は、認証キーに使われない文字です" in says
        assert await screen.page.get_by_label("認証キー").input_value() == ""


async def test_number_and_key_copied_together_go_into_their_fields(
    stack: RunningStack, browser: Browser, login: str, handed: Handed
) -> None:
    copied = f"保証契約番号 ： {handed.number}\n認証キー ： {handed.key}\n"
    async with browser.person(stack.url("registry"), "purchaser", login) as screen:
        page = screen.page
        await page.get_by_label("保証契約番号").focus()
        await page.evaluate(
            """(text) => {
                const clipboardData = new DataTransfer();
                clipboardData.setData("text", text);
                const paste = new ClipboardEvent("paste", { clipboardData, bubbles: true, cancelable: true });
                document.activeElement.dispatchEvent(paste);
            }""",
            copied,
        )
        assert await page.get_by_label("保証契約番号").input_value() == handed.number
        assert await page.get_by_label("認証キー").input_value() == handed.key
        await page.keyboard.press("Enter")
        await page.wait_for_url(f"**{PLACE}/{handed.number}")


@pytest.mark.parametrize("size", [WIDE, PHONE])
async def test_a_wrong_key_is_answered_and_after_too_many_the_wait_is_told(
    size: dict[str, int], stack: RunningStack, browser: Browser, login: str, handed: Handed
) -> None:
    wrong = handed.key[:-1] + ("a" if handed.key[-1] != "a" else "b")
    async with browser.person(stack.url("registry"), "purchaser", login, size=size) as screen:
        await _look_up(screen.page, handed.number, wrong)
        await screen.page.get_by_role("heading", name="電子証書を表示できません").wait_for()
        # That the answer is no 200 is what a browser complains of here.
        screen.complaints.clear()
        await screen.is_sound("not-found")
        for _ in range(5):
            await _look_up(screen.page, handed.number, wrong)
        await screen.page.get_by_role("heading", name="しばらく照会できません").wait_for()
        screen.complaints.clear()
        await screen.is_sound("throttled")
        await screen.go(f"{PLACE}/{handed.number}")
        assert await screen.page.get_by_text("照会したブラウザで、照会から30分間に限ります").is_visible()
        await screen.is_sound("closed")


async def test_every_page_in_english(stack: RunningStack, browser: Browser, login: str, handed: Handed) -> None:
    async with browser.person(stack.url("registry"), "purchaser", login) as screen:
        await screen.page.get_by_role("link", name="English").click()
        await screen.page.get_by_label("Guarantee contract number").fill(handed.number)
        await screen.page.get_by_label("Authentication key").fill(handed.key)
        await screen.is_sound("english-form")
        await screen.page.get_by_role("button", name="Look up").click()
        await screen.page.wait_for_url(f"**{PLACE}/{handed.number}")
        await screen.is_sound("english-certificate")
        for path in ("views", "help"):
            await screen.go(f"/purchaser/{path}")
            await screen.is_sound(f"english-{path}")
