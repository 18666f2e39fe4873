"""A place in a list that nobody was given: what fuzzing found to be a fault of ours, asked of the services themselves."""

import base64
import json
import uuid

import pytest

from tests.support.pages import signed_in
from tests.support.services import Site

NOBODYS = str(uuid.UUID(int=1))


@pytest.mark.parametrize("at", ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "2026-04-01T00:00:00", "x"])
async def test_a_moment_that_no_clock_shows_is_no_cursor(issuer: Site, at: str) -> None:
    cursor = base64.urlsafe_b64encode(json.dumps([at, NOBODYS]).encode()).decode().rstrip("=")
    person = await issuer.person("toto")

    answer = await issuer.http.get("/api/desk/applications", params={"cursor": cursor}, headers=person.headers)

    assert answer.status_code == 422, answer.text


@pytest.mark.parametrize("nested", [200, 20_000])
async def test_a_cursor_of_brackets_is_no_place(intake: Site, nested: int) -> None:
    browser = await signed_in(intake, await intake.contractor(), "tanto")
    cursor = base64.urlsafe_b64encode(b"[" * nested).decode()

    assert (await browser.get(f"/contractor/toto/applications?cursor={cursor}")).status == 404


@pytest.mark.parametrize("page", ["000000001" + "0" * 20, "1" + "0" * 5000, "-1", "１", "9" * 7])
@pytest.mark.parametrize("shown", ["/contractor/toto/guarantees", "/contractor/nankai/certificates"])
async def test_a_page_number_that_is_none_is_the_first_page(intake: Site, page: str, shown: str) -> None:
    browser = await signed_in(intake, await intake.contractor(), "tanto")

    assert (await browser.get(f"{shown}?page={page}")).status == 200
