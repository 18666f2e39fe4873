"""CERT-1, HIS-1 to HIS-7: what the page of an opened certificate shows, and the files it gives."""

import io
from urllib.parse import unquote

import pypdf
import pytest

from documents.certificate_view import certificate_view
from documents.html import certificate_html
from tests.integration.registry.conftest import KEY, PLACE, WRONG


@pytest.fixture
async def changed(certificate, issue):
    """A change of the certificate arrived."""
    return await issue(
        contract=certificate.contract_number,
        application_id=certificate.application_id,
        content={"version": 2, "change_number": 1, "kind": "change", "amount_yen": 21_000_000},
    )


def text_of(pdf):
    return "".join(page.extract_text() for page in pypdf.PdfReader(io.BytesIO(pdf)).pages)


def name_of(answer):
    kind, _, name = answer.headers["content-disposition"].partition("; filename*=UTF-8''")
    assert kind == "attachment"
    return unquote(name)


async def registered_at(registry, event):
    query = "SELECT registered_at FROM certificate WHERE certificate_id = $1"
    return await registry.pool.fetchval(query, event.certificate_id)


async def test_the_sheet_is_the_one_that_the_contractor_sees(certificate, at_tochigi, registry):
    await at_tochigi.look_up(certificate.contract_number)
    page = await at_tochigi.get(f"{PLACE}/{certificate.contract_number}")
    view = certificate_view(certificate.content, registered_at=await registered_at(registry, certificate))

    assert certificate_html(view) in page.text


async def test_the_time_of_issue_is_when_it_arrived(certificate, at_tochigi, registry, texts):
    await registry.pool.execute("UPDATE certificate SET registered_at = '2026-11-20 15:04:59.9+00'")
    await at_tochigi.look_up(certificate.contract_number)

    says = texts(await at_tochigi.get(f"{PLACE}/{certificate.contract_number}"))

    assert says.count("2026/11/21 00:04") >= 2
    assert "（プラットフォーム）に保証証書が到着した日時のことです" in says


async def test_the_history_leads_to_earlier_versions_and_back(certificate, changed, at_tochigi, texts):
    await at_tochigi.look_up(certificate.contract_number)
    here = f"{PLACE}/{certificate.contract_number}"

    latest, first = await at_tochigi.get(here), await at_tochigi.get(f"{here}/versions/1")

    assert "21,000,000 円" in texts(latest)
    assert f'href="{here}/versions/1"' in latest.text
    assert "20,000,000 円" in texts(first)
    assert "この電子証書は最新の内容ではありません" in texts(first)
    assert f'href="{here}"' in first.text
    assert all("※訂正、変更取消された履歴は表示されません。" in texts(page) for page in (latest, first))


async def test_what_was_corrected_is_neither_listed_nor_to_be_had(certificate, changed, issue, at_tochigi, texts):
    await issue(
        contract=certificate.contract_number,
        application_id=certificate.application_id,
        content={"version": 3, "change_number": 1, "kind": "correction", "amount_yen": 22_000_000},
    )
    await at_tochigi.look_up(certificate.contract_number)
    here = f"{PLACE}/{certificate.contract_number}"

    assert "/versions/2" not in (await at_tochigi.get(here)).text
    assert (await at_tochigi.get(f"{here}/versions/2")).status_code == 404
    assert (await at_tochigi.get(f"{here}/versions/2/certificate.pdf")).status_code == 404
    assert (await at_tochigi.get(f"{here}/versions/1")).status_code == 200


@pytest.mark.parametrize("version", ["0", "3", "99999999999999999999", "x", "-1"])
async def test_a_version_that_is_not_there_is_not_found(version, certificate, at_tochigi):
    await at_tochigi.look_up(certificate.contract_number)

    assert (await at_tochigi.get(f"{PLACE}/{certificate.contract_number}/versions/{version}")).status_code == 404


async def test_the_certificate_is_saved_as_a_signed_pdf_that_says_the_same(certificate, at_tochigi):
    await at_tochigi.look_up(certificate.contract_number)
    answer = await at_tochigi.get(f"{PLACE}/{certificate.contract_number}/certificate.pdf")

    assert answer.headers["content-type"] == "application/pdf"
    assert name_of(answer) == f"保証証書_{certificate.contract_number}.pdf"
    assert b"/ETSI.CAdES.detached" in answer.content
    for said in (certificate.contract_number, "栃木県知事", certificate.content_sha256):
        assert said in text_of(answer.content)
    assert KEY not in text_of(answer.content)


async def test_an_earlier_version_is_saved_as_it_was(certificate, changed, at_tochigi):
    await at_tochigi.look_up(certificate.contract_number)
    here = f"{PLACE}/{certificate.contract_number}"

    latest = await at_tochigi.get(f"{here}/certificate.pdf")
    first = await at_tochigi.get(f"{here}/versions/1/certificate.pdf")

    assert name_of(latest) == f"保証証書_{certificate.contract_number}_変更1.pdf"
    assert name_of(first) == f"保証証書_{certificate.contract_number}.pdf"
    assert changed.content_sha256 in text_of(latest.content)
    assert certificate.content_sha256 in text_of(first.content)


async def test_the_record_of_the_look_tells_who_saw_what_and_when(certificate, at_tochigi, registry):
    await at_tochigi.look_up(certificate.contract_number)
    await registry.pool.execute("UPDATE view SET viewed_at = '2026-11-20 15:04:59.9+00'")
    answer = await at_tochigi.get(f"{PLACE}/{certificate.contract_number}/receipt.pdf")

    assert name_of(answer) == f"電子証書照会記録_{certificate.contract_number}_20261121-0004.pdf"
    assert b"/ETSI.CAdES.detached" in answer.content
    says = text_of(answer.content)
    for said in ("2026/11/21 00:04", "栃木県", "見本　太郎", "あかしView", certificate.content_sha256):
        assert said in says
    assert KEY not in says


async def test_the_record_is_of_what_was_seen_not_of_what_came_later(certificate, at_tochigi, issue):
    await at_tochigi.look_up(certificate.contract_number)
    later = await issue(
        contract=certificate.contract_number,
        application_id=certificate.application_id,
        content={"version": 2, "change_number": 1, "kind": "change", "amount_yen": 21_000_000},
    )

    says = text_of((await at_tochigi.get(f"{PLACE}/{certificate.contract_number}/receipt.pdf")).content)

    assert certificate.content_sha256 in says
    assert later.content_sha256 not in says


async def test_a_name_that_cannot_be_printed_is_told_in_words(issue, at_tochigi, texts):
    event = await issue(content={"works_name": "見本\ue000工事"})
    await at_tochigi.look_up(event.contract_number)

    answer = await at_tochigi.get(f"{PLACE}/{event.contract_number}/certificate.pdf")

    assert answer.status_code == 409
    assert "PDFを作成できません" in texts(answer)


async def test_a_surety_that_reference_data_does_not_know_changes_nothing(issue, at_tochigi):
    event = await issue(surety_id="another")
    await at_tochigi.look_up(event.contract_number)

    for name in ("", "/certificate.pdf", "/receipt.pdf"):
        assert (await at_tochigi.get(f"{PLACE}/{event.contract_number}{name}")).status_code == 200


async def test_who_looked_at_nothing_is_told_so(at_tochigi, texts):
    for path in ("/purchaser/", PLACE, "/purchaser/views"):
        assert "照会した電子証書はまだありません" in texts(await at_tochigi.get(path))


async def test_ones_own_looks_are_listed_and_nobody_elses(certificate, issue, at_tochigi, registry, window):
    other = await issue()
    colleague = await window(await registry.person("tochigi"))
    await at_tochigi.look_up(certificate.contract_number)
    await colleague.look_up(other.contract_number)
    await at_tochigi.look_up(other.contract_number, WRONG)

    for path in (PLACE, "/purchaser/views"):
        page = await at_tochigi.get(path)
        assert certificate.contract_number in page.text
        assert other.contract_number not in page.text


async def test_each_certificate_is_among_the_last_ones_once_and_each_look_in_the_history(
    certificate, issue, at_tochigi
):
    other = await issue()
    for event in (certificate, other, certificate):
        await at_tochigi.look_up(event.contract_number)

    last, looks = await at_tochigi.get(PLACE), await at_tochigi.get("/purchaser/views")

    shown = f'<span class="number">{certificate.contract_number}</span>'
    assert (last.text.count(shown), looks.text.count(shown)) == (1, 2)
    assert last.text.index(certificate.contract_number) < last.text.index(other.contract_number)


async def test_what_is_closed_is_listed_with_the_way_to_the_form(certificate, at_tochigi, registry):
    await at_tochigi.look_up(certificate.contract_number)
    opened, closed = (
        f'href="{PLACE}/{certificate.contract_number}"',
        f'href="{PLACE}?number={certificate.contract_number}"',
    )
    assert opened in (await at_tochigi.get(PLACE)).text

    await registry.pool.execute("UPDATE opened_certificate SET opened_at = opened_at - interval '31 minutes'")

    assert closed in (await at_tochigi.get(PLACE)).text
    assert opened not in (await at_tochigi.get(PLACE)).text


async def test_the_history_is_paged(certificate, at_tochigi, texts):
    for _ in range(23):
        await at_tochigi.look_up(certificate.contract_number)

    pages = [texts(await at_tochigi.get(f"/purchaser/views?page={page}")) for page in ("1", "2", "99", "x", "9" * 5000)]

    assert [page.count(f" {certificate.contract_number} ") for page in pages] == [20, 3, 3, 20, 20]
    assert "全2ページ(23件)中の2ページ目を表示しています" in pages[1]


async def test_the_help_tells_what_this_purchaser_takes(registry, window, texts):
    yomitan = await window(await registry.person("yomitan"))

    says = texts(await yomitan.get("/purchaser/help"))

    assert "読谷村" in says
    assert "請負契約日が2026/04/01以降のもの" in says
    assert "業務委託" not in says


async def test_every_page_is_there_in_english(certificate, at_tochigi, texts):
    await at_tochigi.look_up(certificate.contract_number)
    english = f"__Host-akashi_purchaser={at_tochigi.token}; akashi_language=en"
    for path, said in (
        (PLACE, "Look up a certificate"),
        (f"{PLACE}/{certificate.contract_number}", "Save the look-up record"),
        ("/purchaser/views", "Past look-ups"),
        ("/purchaser/help", "advance-payment guarantee"),
    ):
        assert said in texts(await at_tochigi.get(path, Cookie=english))


async def test_the_sheets_style_is_given_with_an_address_that_changes_with_it(certificate, at_tochigi):
    await at_tochigi.look_up(certificate.contract_number)
    page = await at_tochigi.get(f"{PLACE}/{certificate.contract_number}")
    (address,) = [
        part.split('"')[0] for part in page.text.split('href="') if part.startswith("/static/certificate.css")
    ]

    answer = await at_tochigi.http.get(address)

    assert answer.status_code == 200
    assert "immutable" in answer.headers["cache-control"]
    assert ".certificate" in answer.text


@pytest.mark.parametrize("name", ["certificate.html", "signing.py", "fonts/OFL-BIZUDGothic.txt"])
async def test_nothing_else_of_the_documents_room_is_given_away(name, at_tochigi):
    assert (await at_tochigi.http.get(f"/static/{name}")).status_code == 404
