"""Signing in and out, and what people set for themselves, in a real browser."""

import uuid

import pyotp

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


async def test_a_password_can_be_looked_at_until_it_is_sent(stack: RunningStack, browser: Browser) -> None:
    name = f"seen-{uuid.uuid4().hex[:8]}"
    login = await stack.sign_in_of(await stack.contractor(name), name)
    async with browser.person(stack.url("intake"), "contractor", login, size=PHONE) as screen:
        page = screen.page
        await screen.go("/contractor/account/password")
        await page.locator("#old").fill(PASSWORD)
        await page.locator("#new").fill("Password!2024")
        await page.locator("#again").fill("Password!2024")
        fields = page.locator("#old, #new, #again")
        types = "fields => fields.map(field => field.type)"
        assert await fields.evaluate_all(types) == ["password"] * 3
        await page.get_by_label("パスワードを表示する").check()
        assert await fields.evaluate_all(types) == ["text"] * 3
        await screen.is_sound("password-shown")
        async with page.expect_request("**/account/password") as sent:
            await page.get_by_role("button", name="変更する").click()
        assert "Password%212024" in ((await sent.value).post_data or "")
        await page.get_by_role("alert").wait_for()
        assert "推測されやすい" in await page.get_by_role("alert").inner_text()
        await screen.picture("password-guessable")
        assert await fields.evaluate_all(types) == ["password"] * 3


async def test_a_purchaser_sets_codes_up_and_removes_them(stack: RunningStack, browser: Browser) -> None:
    name = f"codes-{uuid.uuid4().hex[:8]}"
    login = await stack.sign_in_of(await stack.purchaser("tochigi"), name)
    async with browser.person(stack.url("registry"), "purchaser", login, size=PHONE) as screen:
        page = screen.page
        await screen.go("/purchaser/account")
        await page.get_by_role("link", name="設定する").click()
        await screen.is_sound("code-password")
        await page.get_by_label("現在のパスワード").fill("wrong-password-here")
        await page.get_by_role("button", name="確認する").click()
        await screen.picture("code-wrong-password")
        # The browser complains of an answer that is a refusal; that is no fault of the page.
        screen.complaints.clear()
        await page.get_by_label("現在のパスワード").fill(PASSWORD)
        await page.get_by_role("button", name="確認する").click()
        picture = await page.get_by_role("img", name="QRコード").locator("svg").bounding_box()
        assert picture is not None
        assert picture["width"] > 150
        await screen.is_sound("code-secret")
        app = pyotp.TOTP(await page.locator("main code").inner_text())
        await page.get_by_label("6桁のコード").fill("000000")
        await page.get_by_role("button", name="設定する").click()
        assert await page.locator("main code, main svg").count() == 0
        await screen.picture("code-wrong")
        await page.get_by_label("6桁のコード").fill(app.now())
        await page.get_by_role("button", name="設定する").click()
        assert "確認コードを設定しました" in await page.get_by_role("status").inner_text()
        await page.get_by_label("現在のパスワード").fill(PASSWORD)
        await page.get_by_role("button", name="解除する").click()
        assert "確認コードを解除しました" in await page.get_by_role("status").inner_text()
