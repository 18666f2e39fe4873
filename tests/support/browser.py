"""A real browser for tests: Chromium as Debian installs it, driven by playwright.

    async def test_…(stack: RunningStack, browser: Browser) -> None:
        async with browser.person(stack.url("intake"), "contractor", login, PASSWORD) as screen:
            await screen.go("/contractor/toto/")
            await screen.page.get_by_role("link", name="保証申込").click()
            await screen.is_sound()

`AKASHI_SHOTS=folder` keeps a picture of every screen that a test looked at.
"""

import contextlib
import os
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import axe_playwright_python
import pytest
from playwright.async_api import Browser as Chromium
from playwright.async_api import BrowserContext, Page, async_playwright

WIDE: Final = {"width": 1280, "height": 900}
PHONE: Final = {"width": 390, "height": 844}
#: What every person of the tests signs in with.
PASSWORD: Final = "shingi-no-mihon-2026"
_AXE: Final = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text()
_NAMES: Final = ("chromium", "chromium-browser", "google-chrome")


def why_not() -> str:
    """Why there is no browser here; empty when there is."""
    if any(shutil.which(name) for name in _NAMES):
        return ""
    return "there is no Chromium on PATH (Debian: apt-get install chromium fonts-noto-cjk)"


@dataclass
class Screen:
    """One person's window."""

    page: Page
    base_url: str
    name: str
    #: What the browser complained of: errors of scripts, and what the content security policy stopped.
    complaints: list[str] = field(default_factory=list)

    async def go(self, path: str) -> None:
        await self.page.goto(f"{self.base_url}{path}", wait_until="load")

    async def is_sound(self, name: str = "") -> None:
        """No complaint, no fault that axe finds, nothing wider than the window; a picture, where one is wanted."""
        await self.picture(name)
        await self.page.evaluate(_AXE)
        result: dict[str, Any] = await self.page.evaluate("axe.run({resultTypes: ['violations']})")
        faults = [f"{one['id']}: {[node['html'][:200] for node in one['nodes']]}" for one in result["violations"]]
        assert not faults, f"{self.page.url}: {faults}"
        wide = await self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide <= 0, f"{self.page.url} is {wide} px wider than its window"
        assert not self.complaints, f"{self.page.url}: {self.complaints}"

    async def picture(self, name: str = "") -> None:
        """A picture of the page, all of it there; kept where one is wanted."""
        # A click waits for the answer to begin, not for a page with anything on it.
        await self.page.wait_for_load_state("load")
        if folder := os.environ.get("AKASHI_SHOTS"):
            Path(folder).mkdir(parents=True, exist_ok=True)
            title = name or self.page.url.split("?")[0].removeprefix(self.base_url).strip("/").replace("/", "_")
            width = self.page.viewport_size["width"] if self.page.viewport_size else 0
            await self.page.screenshot(path=Path(folder) / f"{self.name}-{title}-{width}.png", full_page=True)

    async def sign_in(self, portal: str, login: str, password: str) -> None:
        await self.go(f"/{portal}/sign-in")
        await self.page.locator("#login").fill(login)
        await self.page.locator("#password").fill(password)
        await self.page.locator("main button").click()


@dataclass
class Browser:
    """Chromium, once for all tests."""

    chromium: Chromium

    @contextlib.asynccontextmanager
    async def window(
        self, base_url: str, name: str, *, size: dict[str, int] = WIDE, scripts: bool = True
    ) -> AsyncIterator[Screen]:
        """A window of its own, with no cookie in it."""
        context: BrowserContext = await self.chromium.new_context(
            viewport={"width": size["width"], "height": size["height"]},
            java_script_enabled=scripts,
            locale="ja-JP",
            timezone_id="Asia/Tokyo",
        )
        context.set_default_timeout(15_000)
        page = await context.new_page()
        screen = Screen(page, base_url, name)
        page.on("console", lambda said: screen.complaints.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: screen.complaints.append(str(error)))
        try:
            yield screen
        finally:
            await context.close()

    @contextlib.asynccontextmanager
    async def person(
        self,
        base_url: str,
        portal: str,
        login: str,
        *,
        password: str = PASSWORD,
        size: dict[str, int] = WIDE,
        scripts: bool = True,
    ) -> AsyncIterator[Screen]:
        """A window of a person who is signed in."""
        async with self.window(base_url, portal, size=size, scripts=scripts) as screen:
            await screen.sign_in(portal, login, password)
            await screen.page.wait_for_url(lambda url: not url.endswith("/sign-in"), wait_until="load")
            yield screen


@contextlib.asynccontextmanager
async def running_browser() -> AsyncIterator[Browser]:
    path = next((found for name in _NAMES if (found := shutil.which(name))), None)
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(
            executable_path=path,
            args=[
                "--no-sandbox",
                "--disable-gpu",
                "--disable-quic",
                "--no-first-run",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
            ],
        )
        try:
            yield Browser(chromium)
        finally:
            await chromium.close()


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    if reason := why_not():
        pytest.skip(reason)
    async with running_browser() as running:
        yield running
