"""The desk of the surety's staff in a real browser: queue, decision, four eyes, search, paper."""

import io
import uuid
from dataclasses import dataclass

import pypdf
import pytest
from playwright.async_api import Page, expect

from tests.support.browser import PASSWORD, PHONE, WIDE, Browser, Screen
from tests.support.builders import (
    LEFT_OUT,
    a_performance,
    an_advance_payment,
    an_application_form,
    an_e_net_form,
)
from tests.support.running import Client, Document, RunningStack, eventually


@dataclass(frozen=True)
class Waits:
    """An application that waits for a person, and the contractor who sent it."""

    application_id: str
    works: str
    contractor: Client

    @property
    def path(self) -> str:
        return f"/desk/applications/{self.application_id}"

    async def becomes(self, status: str) -> None:
        """The contractor sees it."""

        async def seen() -> bool:
            found = await self.contractor.document(f"/api/applications/{self.application_id}")
            return {product["status"] for product in found["products"]} == {status}

        await eventually(seen, 60)


async def _send(stack: RunningStack, form: Document, staff: Client) -> Waits:
    """Apply, and wait until the desk has it."""
    name = f"desk-{uuid.uuid4().hex[:8]}"
    contractor = await stack.contractor(name)
    application_id = await contractor.apply(form, uuid.uuid4().hex)
    path = f"/api/desk/applications/{application_id}"

    async def arrived() -> bool:
        return (await staff.call("GET", path)).status_code == 200 and (await staff.document(path))["can_write"]

    await eventually(arrived, 60)
    return Waits(application_id, form["works"]["name"], contractor)


def _works() -> str:
    return f"県道見本線橋梁補修工事　{uuid.uuid4().hex[:6]}"


@pytest.fixture(scope="session")
async def toto(stack: RunningStack) -> Client:
    return await stack.desk("toto")


@pytest.fixture(scope="session")
async def toto_login(stack: RunningStack, toto: Client) -> str:
    return await stack.sign_in_of(toto, f"toto-{uuid.uuid4().hex[:8]}")


@pytest.fixture
async def waits(stack: RunningStack, toto: Client) -> Waits:
    """Above the limit of 40 %, with another product on paper."""
    products = {
        "advance_payment": an_advance_payment(amount_yen=21_000_000),
        "performance": a_performance(form="paper"),
    }
    form = an_application_form(
        works__name=_works(), works__jv_name="見本・髙﨑特定建設工事共同企業体", products=products
    )
    return await _send(stack, form, toto)


async def _open(screen: Screen, waits: Waits) -> Page:
    await screen.go("/desk/search?q=" + waits.application_id)
    await screen.page.get_by_role("link", name="詳細").click()
    await screen.page.wait_for_url(f"**{waits.path}")
    return screen.page


async def _sound(screen: Screen, name: str, *, scripts: bool) -> None:
    """Where scripts are off, no script can look: a picture is kept all the same."""
    await (screen.is_sound(name) if scripts else screen.picture(f"{name}-no-scripts"))


def _forgive_422(screen: Screen) -> None:
    """A form that is shown again with its faults is answered with 422, of which the browser itself complains."""
    screen.complaints[:] = [said for said in screen.complaints if "422" not in said]


async def test_a_whole_decision_by_keyboard(
    stack: RunningStack, browser: Browser, toto_login: str, waits: Waits
) -> None:
    async with browser.window(stack.url("issuer"), "desk") as screen:
        page, keyboard = screen.page, screen.page.keyboard
        await screen.go("/desk/?product=advance_payment")
        await page.locator("#login").focus()
        await keyboard.type(toto_login)
        await keyboard.press("Tab")
        await keyboard.type(PASSWORD)
        await keyboard.press("Enter")
        await page.wait_for_url("**/desk/?product=advance_payment")
        await screen.is_sound("queue")
        await page.locator(f"#open-{waits.application_id}").focus()
        await keyboard.press("Enter")
        await page.wait_for_url(f"**{waits.path}")
        await screen.is_sound("application-waits")
        await page.get_by_role("link", name="引受けに進む").focus()
        await keyboard.press("Enter")
        await page.wait_for_url(f"**{waits.path}/accept")
        await screen.is_sound("accept")
        await page.locator("#message").focus()
        await keyboard.type("承りました。")
        await keyboard.press("Tab")
        await keyboard.press("Enter")
        await page.wait_for_url(f"**{waits.path}?told=accepted")
        await expect(page.get_by_role("status")).to_have_text("引受けを決定しました。")
        await screen.is_sound("application-accepted")
        found = (await waits.contractor.document(f"/api/applications/{waits.application_id}"))["products"]
        assert {product["product"] for product in found} == {"advance_payment", "performance"}


@pytest.mark.parametrize(("size", "scripts"), [(PHONE, True), (WIDE, False)])
async def test_accepting_then_printing_what_is_on_paper(  # noqa: PLR0917 - fixtures, by name
    size: dict[str, int], scripts: bool, stack: RunningStack, browser: Browser, toto_login: str, waits: Waits
) -> None:
    async with browser.person(stack.url("issuer"), "desk", toto_login, size=size, scripts=scripts) as screen:
        await _sound(screen, "queue", scripts=scripts)
        page = await _open(screen, waits)
        await _sound(screen, "application-waits", scripts=scripts)
        await page.get_by_role("link", name="引受けに進む").click()
        await _sound(screen, "accept", scripts=scripts)
        await page.get_by_role("button", name="引き受ける").click()
        await page.wait_for_url(f"**{waits.path}?told=accepted")
        await _sound(screen, "application-accepted", scripts=scripts)
        await page.get_by_role("link", name="印刷用の画面").click()
        await page.wait_for_url("**/desk/paper/*")
        number = page.url.rsplit("/", 1)[1]
        assert await page.get_by_role("button", name="印刷", exact=True).is_visible() == scripts
        assert waits.works in await page.locator(".sheet").inner_text()
        await _sound(screen, "paper-sheet", scripts=scripts)
        await page.emulate_media(media="print")
        assert not await page.locator("h1").is_visible()
        assert await page.locator(".sheet").is_visible()
        await screen.picture("paper-sheet-print")
        assert len(pypdf.PdfReader(io.BytesIO(await page.pdf(format="A4"))).pages) == 1
        await page.emulate_media(media="screen")
        await screen.go("/desk/paper")
        await _sound(screen, "paper", scripts=scripts)
        await page.get_by_role("button", name=f"印刷済みにする {number}").click()
        await page.wait_for_url(f"**/desk/paper?printed={number}")
        await expect(page.get_by_role("status")).to_contain_text(f"{number} を印刷済みにしました。")
        await _sound(screen, "paper-printed", scripts=scripts)


@pytest.mark.parametrize(("size", "scripts"), [(WIDE, True), (PHONE, True), (WIDE, False)])
async def test_returning_with_words_that_were_read_before_they_were_sent(  # noqa: PLR0917 - fixtures, by name
    size: dict[str, int], scripts: bool, stack: RunningStack, browser: Browser, toto_login: str, waits: Waits
) -> None:
    async with browser.person(stack.url("issuer"), "desk", toto_login, size=size, scripts=scripts) as screen:
        page = await _open(screen, waits)
        await page.get_by_role("link", name="差戻しに進む").click()
        await page.get_by_role("button", name="内容の確認へ").click()
        await expect(page.locator("#message-fault")).to_have_text("差し戻しの理由を入力してください。")
        _forgive_422(screen)
        await _sound(screen, "return-fault", scripts=scripts)
        await page.locator("#message").fill("前払金の割合が上限を超えています。\n使途の内訳をご提出ください。")
        await page.get_by_role("button", name="内容の確認へ").click()
        await expect(page.get_by_role("heading", name="契約者に表示される内容")).to_be_visible()
        await _sound(screen, "return-preview", scripts=scripts)
        await page.get_by_role("button", name="理由を修正する").click()
        assert "使途の内訳" in await page.locator("#message").input_value()
        await page.get_by_role("button", name="内容の確認へ").click()
        await page.get_by_role("button", name="差し戻す").click()
        await page.wait_for_url(f"**{waits.path}?told=returned")
        await _sound(screen, "application-returned", scripts=scripts)
    await waits.becomes("returned")
    found = await waits.contractor.document(f"/api/applications/{waits.application_id}")
    assert "使途の内訳をご提出ください。" in found["message"]


@pytest.mark.parametrize(("size", "scripts"), [(WIDE, True), (PHONE, True), (WIDE, False)])
async def test_two_people_decide_where_the_surety_wants_it(
    size: dict[str, int], scripts: bool, stack: RunningStack, browser: Browser
) -> None:
    staff = [await stack.desk("nankai") for _ in range(2)]
    logins = [await stack.sign_in_of(one, f"nankai-{uuid.uuid4().hex[:8]}") for one in staff]
    works = _works()
    form = an_e_net_form(works__name=works, products__advance_payment__amount_yen=22_000_000, message=LEFT_OUT)
    waits = await _send(stack, form, staff[0])
    url = stack.url("issuer")
    async with (
        browser.person(url, "desk", logins[0], size=size, scripts=scripts) as proposer,
        browser.person(url, "desk", logins[1], size=size, scripts=scripts) as approver,
    ):
        page = await _open(proposer, waits)
        await page.get_by_role("link", name="差戻しの起案に進む").click()
        await page.locator("#message").fill("書類をご確認ください。")
        await page.get_by_role("button", name="内容の確認へ").click()
        await page.get_by_role("button", name="差戻しを起案する").click()
        await expect(page.get_by_text("ご自身が起案した内容は承認できません。")).to_be_visible()
        assert await page.get_by_role("link", name="承認に進む").count() == 0
        await _sound(proposer, "proposed-own", scripts=scripts)

        other = await _open(approver, waits)
        await _sound(approver, "proposed", scripts=scripts)
        await other.get_by_role("link", name="却下に進む").click()
        await _sound(approver, "reject", scripts=scripts)
        await other.locator("#message").fill("提出済みの書類で足ります。")
        await other.get_by_role("button", name="却下する").click()
        await expect(other.get_by_role("status")).to_contain_text("起案を却下しました。")

        await proposer.go(waits.path)
        await page.get_by_role("link", name="引受けの起案に進む").click()
        await page.get_by_role("button", name="引受けを起案する").click()
        await proposer.go("/desk/?tab=proposed")
        await _sound(proposer, "queue-proposed", scripts=scripts)

        await approver.go(waits.path)
        await other.get_by_role("link", name="承認に進む").click()
        await _sound(approver, "approve", scripts=scripts)
        await other.get_by_role("button", name="承認する").click()
        await expect(other.get_by_role("status")).to_contain_text("起案を承認し、決定しました。")
        await _sound(approver, "application-approved", scripts=scripts)
    await waits.becomes("issued")


@pytest.mark.parametrize("size", [WIDE, PHONE])
async def test_desk_and_contractor_write_to_each_other(  # noqa: PLR0917 - fixtures, by name
    size: dict[str, int], stack: RunningStack, browser: Browser, toto: Client, toto_login: str, waits: Waits
) -> None:
    async with browser.person(stack.url("issuer"), "desk", toto_login, size=size) as screen:
        page = await _open(screen, waits)
        await page.get_by_role("button", name="送信する").click()
        await expect(page.locator("#text-fault")).to_be_visible()
        _forgive_422(screen)
        await screen.is_sound("message-fault")
        await page.locator("#text").fill("使途内訳明細書をお送りください。\nよろしくお願いします。")
        await page.get_by_role("button", name="送信する").dblclick()
        await page.wait_for_url("**told=written*")
        await screen.is_sound("message-sent")
        assert await page.get_by_text("使途内訳明細書をお送りください。").count() == 1


async def test_the_queue_keeps_itself_up_to_date_and_the_focus_stays(
    stack: RunningStack, browser: Browser, toto: Client, toto_login: str, waits: Waits
) -> None:
    async with browser.person(stack.url("issuer"), "desk", toto_login) as screen:
        page = screen.page
        await screen.go("/desk/")
        here = page.locator(f"#open-{waits.application_id}")
        await here.focus()
        late = await _send(
            stack,
            an_application_form(
                works__name=_works(), products__advance_payment=an_advance_payment(amount_yen=20_500_000)
            ),
            toto,
        )
        await expect(page.locator(f"#open-{late.application_id}")).to_be_visible(timeout=40_000)
        await expect(here).to_be_focused()


@pytest.mark.parametrize("size", [WIDE, PHONE])
async def test_searching_and_what_is_shown_when_nothing_is_there(
    size: dict[str, int], stack: RunningStack, browser: Browser, toto_login: str, waits: Waits
) -> None:
    async with browser.person(stack.url("issuer"), "desk", toto_login, size=size) as screen:
        page = screen.page
        await page.get_by_role("link", name="検索").click()
        await page.get_by_label("キーワード").fill(waits.works.replace("県道", "").replace("　", " "))
        await page.get_by_label("状態").select_option("queued")
        await page.get_by_label("状態").focus()
        await page.keyboard.press("Tab")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("link", name="詳細")).to_have_count(1)
        await screen.is_sound("search")
        await page.get_by_label("キーワード").fill("どこにもない工事")
        await page.get_by_role("button", name="検索する").click()
        await expect(page.get_by_text("条件に合う申込はありません。")).to_be_visible()
        await screen.is_sound("search-empty")
        await screen.go("/desk/?product=interim_payment")
        await screen.is_sound("queue-empty")
        await screen.go(f"/desk/applications/{uuid.uuid4()}")
        # The browser itself complains of the 404.
        screen.complaints.clear()
        await screen.is_sound("not-there")
        await screen.go("/desk/language/en?next=/desk/")
        await screen.is_sound("queue-english")
        await screen.go(waits.path)
        await screen.is_sound("application-english")
