"""Signing in and out, and what people set for themselves, in a real browser."""

import uuid

from tests.support.browser import PASSWORD, PHONE, Browser
from tests.support.running import RunningStack


async def test_a_contractor_signs_in_by_keyboard_and_out_again(stack: RunningStack, browser: Browser) -> None:
    name = f"keys-{uuid.uuid4().hex[:8]}"
    login = await stack.sign_in_of(await stack.contractor(name), name)
    async with browser.window(stack.url("intake"), "contractor") as screen:
        await screen.go("/contractor/toto/")
        await screen.is_sound("sign-in")
        page = screen.page
        await page.locator("#login").focus()
        await page.keyboard.type(login)
        await page.keyboard.press("Tab")
        await page.keyboard.type(PASSWORD)
        await page.keyboard.press("Enter")
        await page.wait_for_url(f"{screen.base_url}/contractor/toto/")
        await screen.is_sound("home")
        await page.get_by_role("button", name="ログアウト").click()
        await page.wait_for_url("**/contractor/sign-in")
        await screen.go("/contractor/toto/")
        assert "/contractor/sign-in" in page.url


async def test_a_wrong_password_says_nothing_about_the_login(stack: RunningStack, browser: Browser) -> None:
    name = f"oracle-{uuid.uuid4().hex[:8]}"
    await stack.sign_in_of(await stack.contractor(name), name)
    said = []
    async with browser.window(stack.url("intake"), "contractor", size=PHONE) as screen:
        for login in (name, f"{name}-not-there"):
            await screen.sign_in("contractor", login, "wrong-password-here")
            said.append(await screen.page.get_by_role("alert").inner_text())
    assert said == ["お客様IDまたはパスワードが正しくありません。"] * 2
