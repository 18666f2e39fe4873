"""What is told to browsers with every answer, of every address that there is."""

import platform
import re
import uuid
from collections.abc import Callable, Iterator

import httpx
from fastapi.routing import APIRoute, iter_route_contexts

from chassis.web.headers import ALWAYS
from tests.support.pages import Reader, signed_in
from tests.support.services import Built, Site

NAMES = {
    "surety_id": "toto",
    "number": "31072-000012",
    "contract_number": "31072-000012",
    "version": "1",
    "path": "0/0",
}


async def _people(intake: Site, issuer: Site, registry: Site) -> dict[str, Reader]:
    return {
        "intake": await signed_in(intake, await intake.contractor(), "takasaki"),
        "issuer": await signed_in(issuer, await issuer.person("toto"), "toto-mihon"),
        "registry": await signed_in(registry, await registry.person("tochigi"), "tochigi-mihon"),
    }


def _addresses(app: Built, *, of_pages: bool) -> Iterator[tuple[str, str]]:
    for route in iter_route_contexts(app.app.routes):
        if isinstance(route.original_route, APIRoute) and route.include_in_schema is not of_pages:
            for method in sorted(route.methods or ()):
                yield (
                    method,
                    re.sub(r"{(\w+)(:path)?}", lambda name: NAMES.get(name[1], str(uuid.uuid4())), route.path or ""),
                )


def _lacking(answer: httpx.Response, *own: str) -> set[str]:
    """Which of the headers of every answer it does not have, without those that it may have of its own."""
    return {name for name, value in ALWAYS.items() if name not in own and answer.headers.get_list(name) != [value]}


async def test_every_page_forbids_what_it_does_not_need(
    intake: Site, issuer: Site, registry: Site, built: Callable[[str], Built]
) -> None:
    shown = 0
    for service, reader in (await _people(intake, issuer, registry)).items():
        # Signing out comes among the others, and then the rest is asked by nobody.
        for method, address in _addresses(built(service), of_pages=True):
            answer = await reader.http.request(method, address)
            if answer.headers.get("content-type", "").startswith("text/html"):
                policy = answer.headers["content-security-policy"]
                assert "default-src 'none'" in policy, address
                assert "unsafe" not in policy, address
                assert answer.headers["content-type"] == "text/html; charset=utf-8", address
                assert answer.headers["referrer-policy"] == "same-origin", address
                shown += answer.status_code == 200
            assert not _lacking(answer), address
    assert shown > 20


async def test_no_answer_is_kept_or_guessed_at_and_each_asks_for_tls(
    intake: Site, issuer: Site, registry: Site, built: Callable[[str], Built]
) -> None:
    for service, site, who in (("intake", intake, "a"), ("issuer", issuer, "toto"), ("registry", registry, "tochigi")):
        person = await (site.contractor() if service == "intake" else site.person(who))
        for headers in ({}, person.headers):
            for method, address in _addresses(built(service), of_pages=False):
                answer = await site.http.request(method, address, headers=headers)
                # What the log says is for everybody to keep, and says so itself.
                assert not _lacking(answer, *["Cache-Control"] * address.startswith("/log/")), address
        for address in ("/api/not-there", "/static/not-there", "/openapi.json"):
            assert not _lacking(await site.http.get(address)), address


async def test_no_answer_names_a_product_that_it_is_made_by(
    intake: Site, issuer: Site, registry: Site, built: Callable[[str], Built]
) -> None:
    products = ("uvicorn", "starlette", "fastapi", "asyncpg", "postgresql/", platform.python_version())
    for service, site in (("intake", intake), ("issuer", issuer), ("registry", registry)):
        for method, address in [*_addresses(built(service), of_pages=False), ("GET", "/openapi.json")]:
            answer = await site.http.request(method, address)
            said = f"{answer.headers} {answer.text}".lower()
            assert not [product for product in products if product in said], address


async def test_no_page_runs_what_others_wrote(intake: Site, issuer: Site, registry: Site) -> None:
    for site in (intake, issuer, registry):
        assert [(await site.http.get(address)).status_code for address in ("/docs", "/redoc")] == [404, 404]
        assert (await site.http.get("/openapi.json")).json()["paths"]
