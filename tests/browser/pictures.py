"""`python -m tests.browser.pictures FOLDER`: the pictures of the README, from a stack of its own and by real use.

A contractor applies on the pages, one application waits at the desk, a certificate arrives, the purchaser opens it.
Whatever is shown is made up, and no authentication key is on a picture.
"""

import asyncio
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from playwright.async_api import Locator, Page, expect

from tests.support.browser import WIDE, Browser, Screen, running_browser, why_not
from tests.support.running import RunningStack, running_stack
from tests.support.waiting import eventually

PORTAL: Final = "/contractor/toto"
PURCHASER: Final = "/purchaser/certificates"
#: No picture is lower; a page that is shorter is followed by its own background.
LOWEST: Final = 700
#: Left free below the last thing that is shown.
MARGIN: Final = 24
MOST_BYTES: Final = 250_000
ARRIVES_SECONDS: Final = 60


@dataclass(frozen=True)
class Works:
    """What is applied for on the pages."""

    name: str
    price: str
    advance: str
    #: None is asked for where this is empty.
    performance: str
    message: str


#: Within the limits: becomes a certificate by itself.
BRIDGE: Final = Works("県道見本線　見本橋架替工事（上部工）", "50,000,000", "20,000,000", "", "")
#: Above the limit of 40 %: waits for a person.
ROAD: Final = Works(
    "主要地方道見本線　道路改良工事（第２工区）",
    "80,000,000",
    "36,000,000",
    "8,000,000",
    "資材の先行手配のため、前払金の割合が大きくなっています。ご確認をお願いします。",
)


@dataclass
class Album:
    """Where the pictures go."""

    folder: Path

    async def add(self, name: str, page: Page, *, until: Locator | None = None) -> None:
        """The page from its top, as far as the end of `until`, or its whole."""
        await page.evaluate("() => { document.activeElement?.blur(); scrollTo({top: 0, behavior: 'instant'}); }")
        await page.evaluate("document.fonts.ready.then(() => true)")
        end: float = await (until or page.locator("body")).evaluate("it => it.getBoundingClientRect().bottom + scrollY")
        path = self.folder / f"{name}.png"
        await page.screenshot(
            path=path,
            full_page=True,
            animations="disabled",
            clip={"x": 0, "y": 0, "width": WIDE["width"], "height": max(end + MARGIN, LOWEST)},
        )
        size = path.stat().st_size
        assert size < MOST_BYTES, f"{path} has {size:,} bytes, more than {MOST_BYTES:,}"
        print(f"{path}  {size / 1000:.0f} kB")  # noqa: T201 - a command


async def take_all(folder: Path) -> None:
    """Every picture, in the order in which things happen."""
    folder.mkdir(parents=True, exist_ok=True)
    album = Album(folder)
    async with running_stack() as stack, running_browser() as browser:
        contractor = await stack.sign_in_of(await stack.contractor("takasaki-kensetsu"), "takasaki-kensetsu")
        staff = await stack.sign_in_of(await stack.desk("toto"), "toto-shinsa")
        purchaser = await stack.sign_in_of(await stack.purchaser("tochigi"), "tochigi-keiyaku")
        async with browser.person(stack.url("intake"), "contractor", contractor) as screen:
            await apply(screen, BRIDGE, album)
            await apply(screen, ROAD)
            number, key = await key_of_first(screen)
            await open_certificate(stack, browser, purchaser, (number, key), album)
            await show_guarantee(screen, number, key, album)
        async with browser.person(stack.url("issuer"), "desk", staff) as screen:
            await show_desk(screen, album)
        async with browser.window(stack.url("mailbox"), "mailbox") as screen:
            await show_mail(screen, number, album)


async def apply(screen: Screen, works: Works, album: Album | None = None) -> None:
    """保証申込, from the first tab to 送信完了."""
    page = screen.page
    await screen.go(f"{PORTAL}/applications/new")
    await page.get_by_label("工事名").fill(works.name)
    await page.locator("[id='works.kind']").check()
    await page.get_by_label("発注者名").select_option("tochigi")
    await page.get_by_label("請負金額", exact=False).first.fill(works.price)
    await page.get_by_label("請負契約日").fill("2026-10-01")
    await page.get_by_label("工期（始期）").fill("2026-10-02")
    await page.get_by_label("工期（終期）").fill("2027-03-19")
    await page.get_by_role("button", name="次へ").first.click()
    part = page.locator("[id='products.advance_payment-part']")
    await part.get_by_label("前払金保証を申し込む").check()
    await part.locator("[id='products.advance_payment.amount_yen']").fill(works.advance)
    await part.locator("[id='products.advance_payment.deposit_bank']").fill("見本銀行　県庁前支店")
    await part.get_by_label("再預託を利用しない").check()
    await page.locator("[data-fill='products.advance_payment.fee_bill_to']").first.click()
    if works.performance:
        await page.get_by_label("契約保証を申し込む").check()
        await page.locator("[id='products.performance.amount_yen']").fill(works.performance)
        await page.locator("[data-fill='products.performance.fee_bill_to']").first.click()
    await page.get_by_label("担当部署").fill("工務部")
    await page.get_by_label("担当者名").fill("見本　﨑子")
    await page.get_by_label("メールアドレス").fill("keiri@takasaki-kensetsu.example")
    await page.locator("[id='completion_mail_wanted']").check()
    await page.get_by_label("お客様から弊社への連絡事項").fill(works.message)
    if album is not None:
        await expect(page.locator("[id='products.advance_payment-ratio']")).to_have_text("40.0%")
        await album.add("contractor-apply", page, until=part)
    await page.get_by_role("button", name="申込内容の確認へ").locator("visible=true").first.click()
    await page.get_by_role("button", name="送信する").click()
    await page.wait_for_url(re.compile(r"/sent$"))


async def key_of_first(screen: Screen) -> tuple[str, str]:
    """Number and key of the certificate, once it has arrived; the key leaves the page again."""
    page = screen.page
    found = page.get_by_role("link", name=re.compile("^詳細"))

    async def arrived() -> bool:
        await screen.go(f"{PORTAL}/guarantees?tab=electronic")
        return await found.count() == 1

    await eventually(arrived, ARRIVES_SECONDS)
    await found.click()
    number = page.url.rsplit("/", 1)[1]
    await page.get_by_role("button", name="認証キーを表示").click()
    key = await page.locator(".key").inner_text()
    await screen.go(f"{PORTAL}/guarantees/{number}")
    return number, key


async def open_certificate(
    stack: RunningStack, browser: Browser, login: str, handed: tuple[str, str], album: Album
) -> None:
    async with browser.person(stack.url("registry"), "purchaser", login) as screen:
        page = screen.page
        await screen.go(PURCHASER)
        await page.get_by_label("保証契約番号").fill(handed[0])
        await page.get_by_label("認証キー").fill(handed[1])
        await page.get_by_role("button", name="照会する").click()
        await page.wait_for_url(f"**{PURCHASER}/{handed[0]}")
        await album.add("purchaser-certificate", page, until=page.get_by_text("証書データの照合値"))


async def show_guarantee(screen: Screen, number: str, key: str, album: Album) -> None:
    """With mail and view told; the key undisclosed, as the page begins."""
    page = screen.page

    async def told() -> bool:
        await screen.go(f"{PORTAL}/guarantees/{number}")
        says = await page.inner_text("main")
        return "送信済" in says and "1回" in says

    await eventually(told, ARRIVES_SECONDS)
    assert key not in await page.content()
    await album.add("contractor-guarantee", page, until=page.locator("section[aria-labelledby='told']"))


async def show_desk(screen: Screen, album: Album) -> None:
    page = screen.page
    waits = page.locator("a[id^='open-']")

    async def is_there() -> bool:
        await screen.go("/desk/")
        return await waits.count() == 1

    await eventually(is_there, ARRIVES_SECONDS)
    await waits.click()
    await album.add("desk-application", page, until=page.locator("#facts table").nth(1))


async def show_mail(screen: Screen, number: str, album: Album) -> None:
    page = screen.page
    await screen.go("/")
    await page.locator("table a").first.click()
    await expect(page.locator("body")).to_contain_text(number)
    await album.add("mail", page, until=page.locator("pre"))


def main() -> int:
    if len(sys.argv) != 2:
        print("usage: python -m tests.browser.pictures FOLDER", file=sys.stderr)  # noqa: T201
        return 2
    if reason := why_not():
        print(f"No pictures: {reason}", file=sys.stderr)  # noqa: T201
        return 1
    asyncio.run(take_all(Path(sys.argv[1])))
    return 0


if __name__ == "__main__":
    sys.exit(main())
