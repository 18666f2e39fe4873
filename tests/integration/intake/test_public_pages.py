"""SITE-1, SITE-2, EL-7, EL-10: what everybody may read, and the same inside the portals."""

import pytest

from tests.support.pages import reader, signed_in

PATHS = ("/", "/purchasers", "/submission", "/questions")


@pytest.fixture
def page(intake):
    return reader(intake)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("language", ["ja", "en"])
async def test_public_pages_need_no_sign_in(path, language, page):
    await page.get(f"/language/{language}?next={path}")

    assert (page.status, page.path) == (200, path)
    assert f'<html lang="{language}">' in page.text
    assert ("見本" in page.text) is True or language == "en"


@pytest.mark.parametrize("elsewhere", ["https://evil.example/", "//evil.example", "/contractor/", "/purchasers/../x"])
async def test_the_language_leads_to_public_pages_only(elsewhere, page):
    answer = await page.http.get("/language/en", params={"next": elsewhere})

    assert (answer.status_code, answer.headers["location"]) == (303, "/")


async def test_purchasers_are_listed_with_start_works_and_branch(page, reference):
    await page.get("/purchasers")

    for purchaser in reference.purchasers.values():
        assert purchaser.name in page.text
    for told in ("2024年4月1日から", "2026年4月1日から", "開始日の定めなし", "東都保証 栃木支店", "南海保証 沖縄支店"):
        assert told in page.text, told


async def test_each_purchasers_way_is_public(page, reference):
    await page.get("/submission")

    for purchaser in reference.purchasers.values():
        assert purchaser.submission.instructions in page.text
        assert purchaser.submission.other_documents in page.text


async def test_every_portal_is_a_link_of_the_first_page(page, reference):
    await page.get("/")

    for surety in reference.sureties.values():
        assert f'href="/contractor/{surety.id}/"' in page.text
    assert 'href="https://view.akashi.example/purchaser/"' in page.text


@pytest.mark.parametrize(("rest", "told"), [("purchasers", "2024年4月1日から"), ("questions", "最短で当日中")])
async def test_the_portal_has_the_same(rest, told, intake, contractor):
    inside = await signed_in(intake, contractor.person, "takasaki-1")
    outside = reader(intake)

    await inside.get(f"/contractor/toto/{rest}")
    await outside.get(f"/{rest}")

    assert told in inside.text
    assert told in outside.text
    assert (await outside.get(f"/contractor/toto/{rest}")).path == "/contractor/sign-in"
