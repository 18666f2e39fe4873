"""The public pages, as somebody sees them who has never been here."""

import pytest

from tests.support.browser import PHONE, WIDE, Browser
from tests.support.running import RunningStack

PAGES = {"/": "home", "/purchasers": "purchasers", "/submission": "submission", "/questions": "questions"}


@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["wide", "phone"])
@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "plain"])
async def test_every_public_page_is_one_link_away(
    size: dict[str, int], scripts: bool, stack: RunningStack, browser: Browser
) -> None:
    async with browser.window(stack.url("intake"), "public", size=size, scripts=scripts) as screen:
        for path, name in PAGES.items():
            await screen.go("/")
            await screen.page.get_by_role("navigation").locator(f'a[href="{path}"]').click()
            await screen.page.wait_for_url(f"**{path}")
            if scripts:
                await screen.is_sound(name)


async def test_the_language_is_changed_where_one_is(stack: RunningStack, browser: Browser) -> None:
    async with browser.window(stack.url("intake"), "public") as screen:
        for path, name in PAGES.items():
            await screen.go(path)
            if await screen.page.get_by_role("link", name="English").count():
                await screen.page.get_by_role("link", name="English").click()
            assert screen.page.url.endswith(path)
            await screen.is_sound(f"{name}-en")


async def test_a_question_opens_by_keyboard(stack: RunningStack, browser: Browser) -> None:
    async with browser.window(stack.url("intake"), "public") as screen:
        await screen.go("/questions")
        second = screen.page.locator("details").nth(1)
        await second.locator("summary").focus()
        await screen.page.keyboard.press("Enter")
        assert await second.locator(".answer").is_visible()


async def test_the_portals_are_reached_from_the_first_page(stack: RunningStack, browser: Browser) -> None:
    async with browser.window(stack.url("intake"), "public", size=PHONE) as screen:
        await screen.go("/")
        await screen.page.get_by_role("link", name="電子証書の確認はこちら").click()
        assert "/contractor/sign-in?next=/contractor/nankai/certificates" in screen.page.url
