"""LIST, HIS, KEY-7, SUB, FEE: what contractors see of their guarantees on pages, and that nobody else does."""

import io
from datetime import timedelta

import pytest
from pypdf import PdfReader

from schemas.decisions import Fee, FeeLine, ProductOutcome
from tests.integration.intake.told import decided, mail_sent, viewed
from tests.support.builders import (
    a_certificate,
    a_contract_number,
    a_performance,
    a_registration,
    an_e_net_form,
)
from tests.support.clock import NOON
from tests.support.pages import signed_in

KEY = "Z28YUE4J3Bux"
HERE = "/contractor/toto"


@pytest.fixture
async def page(intake, contractor):
    """A browser of the contractor's."""
    return await signed_in(intake, contractor.person, "takasaki-1")


def text_of(answer):
    """What it says, wherever its lines end."""
    return "".join(sheet.extract_text().replace("\n", "") for sheet in PdfReader(io.BytesIO(answer)).pages)


def with_fee(application_id, *, fee_yen=68_000, form="electronic", number=None):
    fee = Fee(
        lines=(
            FeeLine(base_yen=10_000_000, rate_percent="0.380", fee_yen=38_000),
            FeeLine(base_yen=10_000_000, rate_percent="0.300", fee_yen=30_000),
        ),
        fee_yen=fee_yen,
    )
    told = ProductOutcome(product="advance_payment", form=form, outcome="accepted", contract_number=number, fee=fee)
    return decided(application_id).model_copy(update={"outcomes": (told,)})


async def fetched(page, path):
    return await page.http.get(path)


# --- 保証契約一覧 ---


async def test_an_arrived_certificate_is_listed_with_the_office_and_the_price(page, contractor, issue):
    event = await issue(await contractor.apply(works__name="見本橋架替工事"), content={"works_name": "見本橋架替工事"})

    await page.get(f"{HERE}/guarantees?tab=electronic")

    assert "全1ページ(1件)中の1ページ目を表示しています" in page.text
    for told in (event.contract_number, "前払", "栃木県知事<br>見本橋架替工事", "50,000,000円"):
        assert told in page.text


async def test_what_has_not_arrived_is_among_the_applications_without_a_number(page, contractor, issue):
    event = await issue(await contractor.apply(works__name="未着工事"), arrived=False)

    await page.get(f"{HERE}/guarantees?tab=electronic")
    assert "まだありません" in page.text
    await page.get(f"{HERE}/guarantees")

    assert "未着工事" in page.text
    assert "（番号なし）" in page.text
    assert event.contract_number not in page.text


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("works=見本橋", True),
        ("works=ﾐﾎﾝ 橋 abc", True),
        ("works=別の工事", False),
        ("product=advance_payment", True),
        ("product=performance", False),
        ("product=nonsense", True),
        ("from=2026-11-20&to=2026-11-20", True),
        ("from=2026/11/21", False),
        ("to=2026-11-19", False),
        ("to=9999-12-31", True),
        ("from=9999-12-31", False),
        ("from=0001-01-01", True),
        ("to=0001-01-01", False),
        ("page=2", False),
        ("page=99999999999999999999", True),
        ("page=-1", True),
    ],
)
async def test_the_search_finds_by_kind_period_and_name(query, found, page, contractor, issue):
    name = "見本橋 ミホン橋ＡＢＣ 架替工事"
    await issue(await contractor.apply(works__name=name), content={"works_name": name})

    await page.get(f"{HERE}/guarantees?tab=electronic&{query}")

    assert (page.status, name in page.text) == (200, found)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("from=yesterday", "日付を正しく入力してください。"),
        ("from=2026-11-20&to=2026-11-19", "終わりが始まりより前です。"),
    ],
)
async def test_a_period_that_is_none_is_told_beside_its_field(query, message, page):
    await page.get(f"{HERE}/guarantees?tab=electronic&{query}")

    assert page.status == 422
    assert page.text.count(message) == 2


async def test_pages_of_the_list_have_no_gap_and_no_repeat(page, contractor, issue):
    numbers = {(await issue(await contractor.apply())).contract_number for _ in range(21)}

    first = (await page.get(f"{HERE}/guarantees?tab=electronic")).text
    second = (await page.get(f"{HERE}/guarantees?tab=electronic&page=2")).text

    assert "全2ページ(21件)中の2ページ目を表示しています" in second
    on_first = {number for number in numbers if number in first}
    on_second = {number for number in numbers if number in second}
    assert (len(on_first), len(on_second), on_first | on_second) == (20, 1, numbers)


async def test_bid_bonds_are_said_not_to_be_taken_here(page):
    await page.get(f"{HERE}/guarantees?tab=bid-bond")

    assert "受け付けておりません" in page.text


async def test_another_suretys_guarantee_is_not_at_this_portal(page, contractor, issue):
    event = await issue(await contractor.apply())
    path = f"guarantees/{event.contract_number}"

    assert (await page.get(f"{HERE}/{path}")).status == 200
    await page.get("/contractor/nankai/guarantees?tab=electronic")
    assert event.contract_number not in page.text
    for rest in ("", "/certificate", "/certificate.pdf", "/submission"):
        assert (await page.get(f"/contractor/nankai/{path}{rest}")).status == 404


# --- 電子保証履歴一覧 and the key ---


async def test_the_overview_is_the_latest_state_with_mail_and_views(page, contractor, issue):
    event = await issue(await contractor.apply(), content={"jv_name": "見本・髙﨑特定建設工事共同企業体"})
    await contractor.hear(mail_sent(event), viewed(event), viewed(event))

    await page.get(f"{HERE}/guarantees/{event.contract_number}")

    for told in (
        "電子保証概要（前払金保証）",
        "株式会社髙﨑建設 様",
        "見本・髙﨑特定建設工事共同企業体",
        "50,000,000 円",
        "20,000,000 円",
        "○○銀行　××支店",
        "2026/11/20 12:00",
        "新規",
        "2回（最終 2026/11/20 12:00）",
        "送信済",
    ):
        assert told in page.text, told


async def test_the_key_is_shown_to_who_asks_and_only_then(page, contractor, issue, intake):
    event = await issue(await contractor.apply(), key=KEY)
    path = f"{HERE}/guarantees/{event.contract_number}"

    await page.get(path)
    assert KEY not in page.text
    assert await intake.pool.fetchval("SELECT count(*) FROM key_disclosure") == 0
    await page.post(f"{path}/key")

    assert KEY in page.text
    assert page.headers["cache-control"] == "no-store"
    rows = await intake.pool.fetch("SELECT account_id, certificate_id FROM key_disclosure")
    assert [tuple(row) for row in rows] == [(contractor.person.account_id, event.certificate_id)]
    await page.get(f"{path}/key")
    assert KEY not in page.text
    assert page.path == path


async def test_the_notice_is_a_file_named_after_the_number_and_each_is_recorded(page, contractor, issue, intake):
    event = await issue(await contractor.apply(), key=KEY)
    path = f"{HERE}/guarantees/{event.contract_number}"
    await page.get(path)
    token = page.text.split('name="csrf" value="')[1].split('"')[0]

    answers = [await page.http.post(f"{path}/key-notice.pdf", data={"csrf": token}) for _ in range(2)]

    for answer in answers:
        assert answer.headers["content-type"] == "application/pdf"
        assert answer.headers["cache-control"] == "no-store"
        assert event.contract_number in answer.headers["content-disposition"]
        assert answer.headers["content-disposition"].startswith("attachment; filename*=UTF-8''%E8%AA%8D%E8%A8%BC")
        shown = text_of(answer.content)
        assert KEY in shown
        assert event.contract_number in shown
        assert "契約担当窓口にご確認ください" in shown
    assert await intake.pool.fetchval("SELECT count(*) FROM key_disclosure") == 2


@pytest.mark.parametrize("rest", ["key", "key-notice.pdf"])
async def test_the_key_is_given_to_no_form_of_another_page(rest, page, contractor, issue, intake):
    event = await issue(await contractor.apply(), key=KEY)
    path = f"{HERE}/guarantees/{event.contract_number}/{rest}"

    refused = [
        await page.http.post(path),
        await page.http.post(path, data={"csrf": "0" * 64}),
    ]
    await page.get(f"{HERE}/guarantees/{event.contract_number}")
    refused.append((await page.post(path, **{"Sec-Fetch-Site": "cross-site"})).status)

    assert [getattr(one, "status_code", one) for one in refused] == [403, 403, 403]
    assert await intake.pool.fetchval("SELECT count(*) FROM key_disclosure") == 0


async def test_who_is_not_signed_in_sees_nothing_of_it(page, contractor, issue):
    event = await issue(await contractor.apply(), key=KEY)
    page.http.cookies.clear()

    for rest in ("", "/certificate", "/certificate.pdf", "/submission"):
        await page.get(f"{HERE}/guarantees/{event.contract_number}{rest}")
        assert page.path == "/contractor/sign-in"


async def test_anothers_guarantee_is_not_there(contractor, issue, another, intake):
    application_id = await contractor.apply()
    event = await issue(application_id, key=KEY)
    await contractor.hear(with_fee(application_id))
    other = await another()
    foreign = await signed_in(intake, other.person, "sano-1")

    for rest in ("", "/certificate", "/certificate.pdf", "/submission"):
        assert (await foreign.get(f"{HERE}/guarantees/{event.contract_number}{rest}")).status == 404
    assert (await foreign.get(f"{HERE}/fee-statements/{event.contract_number}/fee-statement.pdf")).status == 404
    await foreign.get(f"{HERE}/guarantees")
    for rest in ("key", "key-notice.pdf"):
        assert (await foreign.post(f"{HERE}/guarantees/{event.contract_number}/{rest}")).status in (403, 404)
    assert await intake.pool.fetchval("SELECT count(*) FROM key_disclosure") == 0
    api = f"/api/guarantees/{event.contract_number}"
    for name in ("key-notice.pdf", "certificate.pdf", "fee-statement.pdf"):
        assert (await other.get(f"{api}/{name}")).status_code == 404


# --- the certificate ---


async def test_the_window_shows_the_certificate_and_warns_that_it_is_not_for_the_purchaser(page, contractor, issue):
    event = await issue(await contractor.apply())

    await page.get(f"{HERE}/guarantees/{event.contract_number}/certificate?version=1")

    for told in (
        "・インターネット保証サービス利用規約に基づき、お客さまに代わり、発注者に対して保証証書を当社で提出しています。",
        "・ご覧いただいている本画面の情報は、発注者に提出した保証証書と同一です。",
        "保証証書（前払金保証）",
        "令和09年03月19日",
        "発注者への提出用ではありません",
        event.content_sha256,
    ):
        assert told in page.text, told


@pytest.mark.parametrize("version", ["2", "0", "x", "", "９", "1" * 5000])
async def test_a_version_that_there_is_not_is_not_there(version, page, contractor, issue):
    event = await issue(await contractor.apply())
    path = f"{HERE}/guarantees/{event.contract_number}"

    assert (await page.get(f"{path}/certificate?version={version}")).status == 404
    assert (await page.get(f"{path}/certificate.pdf?version={version}")).status == 404


async def test_an_earlier_version_stays_readable_and_the_latest_is_the_overview(page, contractor, issue, keys):
    application_id = await contractor.apply()
    event = await issue(application_id)
    changed = a_certificate(
        keys=keys,
        application_id=application_id,
        contract=event.contract_number,
        content={"version": 2, "change_number": 1, "kind": "change", "amount_yen": 15_000_000},
    )
    await contractor.hear(changed, a_registration(changed, registered_at=NOON + timedelta(days=2)))
    path = f"{HERE}/guarantees/{event.contract_number}"

    await page.get(path)
    assert "15,000,000 円" in page.text
    assert "変更1" in page.text
    assert "新規" in page.text
    await page.get(f"{path}/certificate?version=1")
    assert "20,000,000 円" in page.text
    assert "変更ー" not in page.text
    await page.get(f"{path}/certificate?version=2")
    assert "15,000,000 円" in page.text
    assert "変更ー1" in page.text


async def test_the_certificate_pdf_is_signed_and_named_otherwise_than_the_notice(page, contractor, issue):
    event = await issue(await contractor.apply(), key=KEY)

    answer = await fetched(page, f"{HERE}/guarantees/{event.contract_number}/certificate.pdf")

    assert answer.headers["content-disposition"].startswith("attachment; filename*=UTF-8''%E4%BF%9D%E8%A8%BC%E8%A8%BC")
    assert b"ETSI.CAdES.detached" in answer.content
    assert b"AkashiSignature" in answer.content
    shown = text_of(answer.content)
    assert event.contract_number in shown
    assert KEY not in shown
    assert "発注者への提出用ではありません" in shown


async def test_a_name_that_cannot_be_printed_is_told_and_the_key_stays_readable(page, contractor, issue):
    event = await issue(await contractor.apply(), key=KEY, content={"works_name": "見本\U00030000工事"})
    path = f"{HERE}/guarantees/{event.contract_number}"

    await page.get(path)
    await page.post(f"{path}/key-notice.pdf")

    assert page.status == 409
    assert "印刷できない文字が含まれるため" in page.text
    assert KEY not in page.text
    await page.get(path)
    await page.post(f"{path}/key")
    assert KEY in page.text


# --- e-Net's way ---


@pytest.fixture
async def e_net(contractor, keys):
    """A certificate of the e-Net family."""
    answer = await contractor.post("/api/applications", an_e_net_form())
    application_id = answer.json()["application_id"]
    event = a_certificate(
        keys=keys,
        key=KEY,
        application_id=application_id,
        surety_id="nankai",
        purchaser_id="yomitan",
        content={"beneficiary": "読谷村長"},
    )
    await contractor.hear(event, a_registration(event))
    return event


async def test_e_net_goes_from_number_to_certificate_to_key_to_file(page, e_net):
    here = "/contractor/nankai/certificates"
    await page.get(here)
    assert f'href="{here}/{e_net.contract_number}"' in page.text
    await page.get(f"{here}/{e_net.contract_number}")
    assert "この画面は、印刷・保存が可能です。" in page.text
    assert KEY not in page.text
    await page.post(f"{here}/{e_net.contract_number}/key")
    assert KEY in page.text
    assert "【重要】 当該PDFファイルを「発注者」へご提出ください" in page.text
    assert "※STEP3で保存したファイルを誤ってご提出しないようご注意ください" in page.text
    token = page.text.split('name="csrf" value="')[1].split('"')[0]
    answer = await page.http.post(
        f"/contractor/nankai/guarantees/{e_net.contract_number}/key-notice.pdf", data={"csrf": token}
    )
    assert "認証キー等のお知らせ" in text_of(answer.content)
    await page.get(f"{here}/{e_net.contract_number}/key")
    assert KEY not in page.text


async def test_the_short_way_leads_there_right_after_signing_in(intake, contractor, page):
    page.http.cookies.clear()
    await page.get("/contractor/nankai/certificates")
    await page.post("/contractor/sign-in", {"login": "takasaki-1", "password": _password(), "next": _next(page.text)})
    assert page.path == "/contractor/nankai/certificates"
    assert "まだありません" in page.text
    await page.get(f"{HERE}/certificates")
    assert page.path == f"{HERE}/guarantees"


def _password():
    from tests.support.browser import PASSWORD  # noqa: PLC0415 - pulls in the browser

    return PASSWORD


def _next(text):
    return text.split('name="next" value="')[1].split('"')[0]


# --- handing in ---


async def test_the_way_to_the_purchaser_is_the_purchasers_own(page, contractor, issue):
    event = await issue(await contractor.apply(), content={"works_name": "見本橋架替工事"})

    await page.get(f"{HERE}/guarantees/{event.contract_number}/submission")

    subject = f"（見本橋架替工事・{event.contract_number}・株式会社髙﨑建設）"
    for told in (subject, "契約担当窓口にご確認ください", "前払金請求手続（前払金保証）", "異なる「認証キー」"):
        assert told in page.text, told


async def test_a_known_address_is_a_link_with_the_subject(page, contractor, issue):
    application_id = await contractor.apply(works__purchaser_id="nambu-aomori", branch_id="aomori")
    event = await issue(application_id, purchaser_id="nambu-aomori", content={"beneficiary": "南部町長"})

    await page.get(f"{HERE}/guarantees/{event.contract_number}/submission")

    assert 'href="mailto:keiyaku@nambu-town.example?subject=' in page.text


async def test_other_products_of_the_same_works_are_named_with_their_moment(page, contractor, issue):
    application_id = await contractor.apply(products__performance=a_performance())
    advance = await issue(application_id)
    performance = await issue(
        application_id,
        product="performance",
        content={"product": "performance", "product_name": "契約保証", "deposit_bank": None},
    )

    await page.get(f"{HERE}/guarantees/{advance.contract_number}/submission")

    assert performance.contract_number in page.text
    assert "契約時" in page.text
    await page.get(f"{HERE}/guarantees/{performance.contract_number}/submission")
    assert "請負契約締結手続（契約保証）" in page.text


# --- fees ---


async def test_a_fee_is_listed_once_its_number_may_be_shown(page, contractor, issue):
    application_id = await contractor.apply()
    await contractor.hear(with_fee(application_id))

    await page.get(f"{HERE}/fee-statements")
    assert "まだありません" in page.text
    event = await issue(application_id)
    await page.get(f"{HERE}/fee-statements")
    assert event.contract_number in page.text
    assert "68,000円" in page.text
    answer = await fetched(page, f"{HERE}/fee-statements/{event.contract_number}/fee-statement.pdf")

    shown = text_of(answer.content)
    for told in ("68,000円", "0.380%", "10,000,000円以下の部分", "10,000,000円を超え20,000,000円以下の部分", "例示"):
        assert told in shown, told


async def test_the_least_fee_is_said_to_be_one(page, contractor, issue):
    application_id = await contractor.apply()
    event = await issue(application_id)
    await contractor.hear(with_fee(application_id, fee_yen=70_000))

    answer = await fetched(page, f"{HERE}/fee-statements/{event.contract_number}/fee-statement.pdf")

    assert "最低保証料" in text_of(answer.content)


async def test_a_paper_guarantee_has_a_fee_statement_too(page, contractor):
    application_id = await contractor.apply(products__advance_payment__form="paper")
    number = a_contract_number()
    await contractor.hear(with_fee(application_id, form="paper", number=number))

    answer = await fetched(page, f"{HERE}/fee-statements/{number}/fee-statement.pdf")

    assert answer.status_code == 200
    assert number in text_of(answer.content)


@pytest.mark.parametrize(("method", "status"), [("lump_sum", 200), ("per_guarantee", 404)])
async def test_at_e_net_the_statement_is_electronic_for_lump_sum_users(method, status, page, contractor, keys):
    form = an_e_net_form(products__advance_payment__fee_payment_method=method)
    application_id = (await contractor.post("/api/applications", form)).json()["application_id"]
    event = a_certificate(keys=keys, application_id=application_id, surety_id="nankai", purchaser_id="yomitan")
    await contractor.hear(event, a_registration(event), with_fee(application_id))

    await page.get("/contractor/nankai/fee-statements")

    assert ("書面でお渡しします" in page.text) is (status == 404)
    path = f"/contractor/nankai/fee-statements/{event.contract_number}/fee-statement.pdf"
    assert (await fetched(page, path)).status_code == status


# --- the same for programs ---


async def test_programs_get_the_same_files(contractor, issue, intake):
    application_id = await contractor.apply()
    event = await issue(application_id, key=KEY)
    await contractor.hear(with_fee(application_id))
    api = f"/api/guarantees/{event.contract_number}"

    answers = {
        name: await contractor.get(f"{api}/{name}.pdf") for name in ("key-notice", "certificate", "fee-statement")
    }

    assert {answer.headers["content-type"] for answer in answers.values()} == {"application/pdf"}
    assert {answer.headers["cache-control"] for answer in answers.values()} == {"no-store"}
    assert [KEY in text_of(answer.content) for answer in answers.values()] == [True, False, False]
    assert await intake.pool.fetchval("SELECT count(*) FROM key_disclosure") == 1
    assert (await contractor.get(f"{api}/certificate.pdf", version=2)).status_code == 404


async def test_before_arrival_there_is_no_file(contractor, issue, intake):
    application_id = await contractor.apply()
    event = await issue(application_id, arrived=False)
    await contractor.hear(with_fee(application_id))

    for name in ("key-notice", "certificate", "fee-statement"):
        assert (await contractor.get(f"/api/guarantees/{event.contract_number}/{name}.pdf")).status_code == 404
    assert await intake.pool.fetchval("SELECT count(*) FROM key_disclosure") == 0


async def test_a_token_without_the_scope_gets_no_file(intake, contractor, issue):
    event = await issue(await contractor.apply())
    token = await intake.token(contractor.person.account_id, scopes=("applications",))

    for name in ("key-notice", "certificate", "fee-statement"):
        path = f"/api/guarantees/{event.contract_number}/{name}.pdf"
        answer = await intake.http.get(path, headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == 403
