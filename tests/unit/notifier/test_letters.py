"""What a letter says, and what it never says."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from functools import cache

import pytest

from schemas.authentication_key import ALPHABET, LENGTH
from schemas.sealed import Contact
from services.notifier.composing import LETTERS, REASONS, SOME_REASON, Facts, NoAddress, as_sent, compose

NOW = datetime(2026, 3, 31, 15, 5, 30, tzinfo=UTC)
FAMILIES = ("net-desk", "e-net")
TO_CONTRACTOR = ("completion", "returned", "viewed")
KINDS = (*TO_CONTRACTOR, "undeliverable")
TITLES = {
    ("net-desk", "completion"): "電子保証（認証キー）発行完了のお知らせ",
    ("e-net", "completion"): "電子証書・認証キー登録のお知らせ",
    ("net-desk", "returned"): "お申込み内容の確認のお願い（差戻し）",
    ("e-net", "returned"): "保証申込の差戻しのお知らせ",
    ("net-desk", "viewed"): "電子証書閲覧のお知らせ",
    ("e-net", "viewed"): "電子証書閲覧のお知らせ",
    ("net-desk", "undeliverable"): "【要確認】お知らせメールが届きませんでした",
    ("e-net", "undeliverable"): "【要確認】お知らせメールが届きませんでした",
}
#: What each kind tells besides works, surety and page.
TELLS = {
    "completion": ("前払金保証", "10226-00001M"),
    "returned": ("前払金保証、契約保証",),
    "viewed": ("10226-00001M",),
    "undeliverable": ("10226-00001M", "見本建設株式会社"),
}
PAGES = {
    ("net-desk", "completion"): "https://portal.akashi.example/contractor/toto/guarantees/10226-00001M",
    ("e-net", "completion"): "https://portal.akashi.example/contractor/nankai/guarantees/10226-00001M",
    ("net-desk", "returned"): (
        "https://portal.akashi.example/contractor/toto/applications/0191f0a0-0000-7000-8000-000000000003"
    ),
    ("e-net", "returned"): (
        "https://portal.akashi.example/contractor/nankai/applications/0191f0a0-0000-7000-8000-000000000003"
    ),
    ("net-desk", "viewed"): "https://portal.akashi.example/contractor/toto/guarantees/10226-00001M",
    ("e-net", "viewed"): "https://portal.akashi.example/contractor/nankai/guarantees/10226-00001M",
    ("net-desk", "undeliverable"): "https://portal.akashi.example/contractor/toto/guarantees/10226-00001M",
    ("e-net", "undeliverable"): "https://portal.akashi.example/contractor/nankai/guarantees/10226-00001M",
}
every_letter = pytest.mark.parametrize(("family", "letter"), [(f, k) for f in FAMILIES for k in KINDS])
every_letter_to_the_contractor = pytest.mark.parametrize(
    ("family", "letter"), [(f, k) for f in FAMILIES for k in TO_CONTRACTOR]
)


@cache
def received(facts: Facts) -> EmailMessage:
    """The letter as it arrives: parsed from what goes over the wire."""
    message = message_from_bytes(as_sent(compose(facts, now=NOW)), policy=policy.default)
    assert isinstance(message, EmailMessage)
    return message


def text_of(message: EmailMessage) -> str:
    return _part(message, "plain")


def html_of(message: EmailMessage) -> str:
    return _part(message, "html")


def _part(message: EmailMessage, subtype: str) -> str:
    part = message.get_body((subtype,))
    assert part is not None
    assert part.get_content_charset() == "utf-8"
    return str(part.get_content()).replace("\r\n", "\n")


def test_every_family_has_every_letter_and_no_other() -> None:
    assert {folder.name for folder in LETTERS.iterdir() if folder.is_dir()} == set(FAMILIES)
    for family in FAMILIES:
        assert {folder.name for folder in (LETTERS / family).iterdir()} == set(KINDS)


@every_letter
def test_the_subject_is_the_name_that_the_family_gives_its_letter(
    facts: Callable[..., Facts], family: str, letter: str
) -> None:
    message = received(facts(family, letter))

    assert message["Subject"] == TITLES[family, letter]
    assert f"<title>{TITLES[family, letter]}</title>" in html_of(message)
    assert f"<h1>{TITLES[family, letter]}</h1>" in html_of(message)


@every_letter
@pytest.mark.parametrize("body", [text_of, html_of])
def test_both_bodies_tell_what_which_when_and_from_whom(
    facts: Callable[..., Facts], family: str, letter: str, body: Callable[[EmailMessage], str]
) -> None:
    told = facts(family, letter)
    said = body(received(told))

    for expected in (
        *TELLS[letter],
        "市道1号線舗装工事",
        "2026/04/01 00:04",
        told.surety.portal_name,
        told.surety.name,
        told.branch.name,
        "見本のメールです",
    ):
        assert expected in said


@every_letter_to_the_contractor
@pytest.mark.parametrize("body", [text_of, html_of])
def test_a_contractor_is_addressed_by_name_and_learns_whom_to_ask(
    facts: Callable[..., Facts], family: str, letter: str, body: Callable[[EmailMessage], str]
) -> None:
    told = facts(family, letter)
    said = body(received(told))

    for expected in ("見本建設株式会社 様", "（ご担当：工務部 課長 見本 太郎 様）", told.branch.telephone):
        assert expected in said


@every_letter
def test_it_leads_to_the_exact_page(facts: Callable[..., Facts], family: str, letter: str) -> None:
    """On a line of its own in the text; in the HTML what one sees is where it leads."""
    message = received(facts(family, letter))
    url = PAGES[family, letter]

    assert url in [line.strip("　 ") for line in text_of(message).splitlines()]
    assert re.findall(rf'<a href="{re.escape(url)}"[^>]*>([^<]*)</a>', html_of(message)) == [url]


@every_letter
def test_it_leads_nowhere_else(facts: Callable[..., Facts], family: str, letter: str) -> None:
    told = facts(family, letter)
    message = received(told)
    known = {PAGES[family, letter], *([told.surety.portal_url] if letter == "completion" else [])}

    assert set(re.findall(r"https?://[^\s<>\"　]+", text_of(message) + html_of(message))) == known


def test_completion_names_the_portal_and_the_notice_to_hand_in(facts: Callable[..., Facts]) -> None:
    for family in FAMILIES:
        told = facts(family)
        for said in (text_of(received(told)), html_of(received(told))):
            assert told.surety.portal_url in said
            assert told.surety.key_notice_title in said


@pytest.mark.parametrize("family", FAMILIES)
def test_returned_leaves_the_reasons_to_the_page(facts: Callable[..., Facts], family: str) -> None:
    for said in (text_of(received(facts(family, "returned"))), html_of(received(facts(family, "returned")))):
        assert "差戻しの理由は、このメールには記載していません。" in said
        assert "ログイン" in said
        assert "保証契約番号" not in said


@pytest.mark.parametrize(
    ("family", "platform"), [("net-desk", "保証確認サービス"), ("e-net", "発注者用保証確認サービス")]
)
def test_viewed_promises_nothing_but_the_view(facts: Callable[..., Facts], family: str, platform: str) -> None:
    told = facts(family, "viewed")
    said = text_of(received(told))

    assert platform in said
    assert told.surety.viewing_platform_name in said
    assert "手続きの状況は、発注者にご確認ください。" in said


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("given_up", TO_CONTRACTOR)
@pytest.mark.parametrize("reason", [*REASONS, "something_new"])
def test_undeliverable_says_which_letter_and_why_and_nobodys_address(
    facts: Callable[..., Facts], family: str, given_up: str, reason: str
) -> None:
    message = received(facts(family, "undeliverable", given_up=given_up, given_up_reason=reason))

    for said in (text_of(message), html_of(message)):
        assert TITLES[family, given_up] in said
        assert REASONS.get(reason, SOME_REASON) in said
        assert reason not in said
        assert "@" not in re.sub(r"(?s)<style.*?</style>", "", said)
    assert message["To"].addresses[0].addr_spec == "mail-kanri@hosho.example"


@pytest.mark.parametrize("family", FAMILIES)
def test_undeliverable_names_the_application_where_there_is_no_contract(
    facts: Callable[..., Facts], family: str
) -> None:
    told = facts(family, "undeliverable", given_up="returned", contract_number=None)

    for said in (text_of(received(told)), html_of(received(told))):
        assert "受付番号" in said
        assert str(told.application_id) in said
        assert "保証契約番号" not in said


@pytest.mark.parametrize("kind", KINDS)
def test_the_families_have_their_own_words(facts: Callable[..., Facts], kind: str) -> None:
    def words(family: str) -> set[str]:
        told = facts(family, kind)
        said = text_of(received(told))
        for name in (told.surety.name, told.surety.portal_name, told.branch.name, told.page):
            said = said.replace(name, "")
        return {line for line in said.splitlines() if len(line) > 20 and not line.startswith(("-", "＊"))}

    ours, theirs = words("net-desk"), words("e-net")
    assert len(ours & theirs) <= len(ours | theirs) / 2


def test_net_desk_shows_its_own_way_to_the_key(facts: Callable[..., Facts]) -> None:
    for said in (text_of(received(facts("net-desk"))), html_of(received(facts("net-desk")))):
        way = said[said.index("認証キーの取得方法") :]
        places = [way.index(stop) for stop in ("保証契約一覧", "電子保証（認証キー）", "詳細", "選択", "印刷", "保存")]
        assert places == sorted(places)
        assert "お客様ID" not in said


def test_e_net_shows_its_own_way_to_the_key(facts: Callable[..., Facts]) -> None:
    for said in (text_of(received(facts("e-net"))), html_of(received(facts("e-net")))):
        stops = ("電子証書の確認はこちら", "お客様ID・パスワード", "「認証キー」の表示", "発注者にご提出ください")
        assert [said.index(stop) for stop in stops] == sorted(said.index(stop) for stop in stops)
        assert "保証契約一覧" not in said


@every_letter_to_the_contractor
def test_nobody_in_charge_leaves_no_empty_line_for_one(facts: Callable[..., Facts], family: str, letter: str) -> None:
    message = received(
        facts(family, letter, contact=Contact(mail_address="tanto@kensetsu.example", department="工務部"))
    )

    assert "ご担当" not in text_of(message) + html_of(message)


@every_letter
def test_a_surety_that_is_real_prints_no_specimen_notice(facts: Callable[..., Facts], family: str, letter: str) -> None:
    surety = facts(family).surety.model_copy(update={"specimen": False})
    message = received(
        facts(family, letter, surety=surety, contractor_name="建設", contact=Contact(mail_address="a@b.example"))
    )

    assert "見本" not in text_of(message) + html_of(message)


@every_letter
@pytest.mark.parametrize(
    ("contractor_name", "works_name"),
    [
        ("髙﨑工務店　㈱", "𠮷田川護岸①～③工区"),
        ("濵田・德永 特定建設工事共同企業体", "あ" * 60),
        ("葛\U000e0100城建設", "主要地方道○○線（△△工区）舗装補修工事その１" + "長" * 37),
        ("A" * 200, "Ｗ" * 200),
    ],
)
def test_hard_and_long_names_arrive_as_they_were_written(
    facts: Callable[..., Facts], family: str, letter: str, contractor_name: str, works_name: str
) -> None:
    message = received(facts(family, letter, contractor_name=contractor_name, works_name=works_name))

    for said in (text_of(message), html_of(message)):
        assert contractor_name in said
        assert works_name in said


@every_letter
def test_markup_in_a_name_stays_a_name(facts: Callable[..., Facts], family: str, letter: str) -> None:
    sneaky = '<img src="https://evil.example/x"> & <b>工事</b>'
    person = Contact(mail_address="tanto@kensetsu.example", person=sneaky)
    message = received(facts(family, letter, works_name=sneaky, contractor_name=sneaky, contact=person))

    assert "<img" not in html_of(message)
    assert "<b>工事" not in html_of(message)
    assert sneaky in text_of(message)


@every_letter
def test_a_letter_never_holds_anything_that_could_be_a_key(
    facts: Callable[..., Facts], family: str, letter: str
) -> None:
    told = facts(family, letter)
    message = received(told)
    known = (told.page, told.surety.portal_url, told.surety.mail_from, "tanto@kensetsu.example")
    shown = text_of(message) + re.sub(r"(?s)<(?:style.*?</style|[^>]*)>", " ", html_of(message))
    rest = " ".join(re.split("|".join(map(re.escape, known)), shown))

    assert re.findall(rf"(?<![0-9A-Za-z])[{ALPHABET}]{{{LENGTH}}}(?![0-9A-Za-z])", rest) == []


@every_letter
def test_the_html_body_fetches_nothing_from_anywhere(facts: Callable[..., Facts], family: str, letter: str) -> None:
    html = html_of(received(facts(family, letter)))

    assert re.findall(r"(?i)\b(?:src|background)\s*=|url\(|@import|<link|<script|<img|<iframe|<object", html) == []


@every_letter
def test_the_headers_say_who_when_and_that_a_machine_wrote_it(
    facts: Callable[..., Facts], family: str, letter: str
) -> None:
    told = facts(family, letter)
    message = received(told)

    assert message["From"].addresses[0].display_name == told.surety.portal_name
    assert message["From"].addresses[0].addr_spec == told.surety.mail_from
    assert message["To"].addresses[0].addr_spec == told.contact.mail_address
    assert message["Date"] == "Wed, 01 Apr 2026 00:05:30 +0900"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["X-Akashi-Correlation-Id"] == told.correlation_id
    assert message["Message-ID"] == told.message_id
    assert message["Content-Language"] == "ja"
    assert message.get_content_type() == "multipart/alternative"
    assert [part.get_content_type() for part in message.iter_parts()] == ["text/plain", "text/html"]


@every_letter
def test_a_mail_program_can_sort_by_surety_and_kind(facts: Callable[..., Facts], family: str, letter: str) -> None:
    wanted = {"net-desk": "toto.toto-hosho.example", "e-net": "nankai.nankai-hosho.example"}[family]

    wire = as_sent(compose(facts(family, letter), now=NOW))

    assert f"\r\nList-Id: <{letter}.{wanted}>\r\n".encode() in wire


@every_letter
def test_every_line_on_the_wire_is_short_ascii_that_ends_as_smtp_wants(
    facts: Callable[..., Facts], family: str, letter: str
) -> None:
    wire = as_sent(compose(facts(family, letter, works_name="長" * 200, contractor_name="社" * 200), now=NOW))

    assert wire.isascii()
    assert b"\n" not in wire.replace(b"\r\n", b"")
    assert max(map(len, wire.split(b"\r\n"))) <= 100


@pytest.mark.parametrize("letter", KINDS)
@pytest.mark.parametrize("broken", ["\r\n", "\n", "\r", "\x00", "\u2028", "\x85", "\r\n.\r\n"])
def test_nobody_can_write_a_header_or_a_line_of_their_own(
    facts: Callable[..., Facts], letter: str, broken: str
) -> None:
    sneaky = f"建設{broken}Bcc: everyone@evil.example"
    surety = facts().surety.model_copy(update={"mail_subject": sneaky})
    message = received(
        facts(
            letter=letter,
            surety=surety,
            contractor_name=sneaky,
            works_name=sneaky,
            correlation_id=sneaky,
            contact=Contact(mail_address="tanto@kensetsu.example", person=sneaky),
        )
    )

    assert message["Bcc"] is None
    assert [address.addr_spec for address in message["To"].addresses] == ["tanto@kensetsu.example"]
    assert not any(line.startswith("Bcc:") for line in text_of(message).splitlines())


def test_characters_that_turn_or_hide_writing_are_dropped(facts: Callable[..., Facts]) -> None:
    message = received(facts(contractor_name="建\u202e設\u200b株式会社"))

    assert "建設株式会社 様" in text_of(message)


@pytest.mark.parametrize(
    "address",
    [
        None,
        "",
        "   ",
        "nobody",
        "@kensetsu.example",
        "tanto@",
        "a@b.example, c@d.example",
        "tanto@kensetsu.example\r\nBcc: x@evil.example",
        "a b@kensetsu.example",
        "担当@kensetsu.example",
        "tanto@" + "x" * 70 + ".example",
    ],
)
def test_what_is_no_address_gets_no_letter(facts: Callable[..., Facts], address: str | None) -> None:
    with pytest.raises(NoAddress):
        compose(facts(contact=Contact(mail_address=address)), now=NOW)


def test_the_longest_address_gets_its_letter(facts: Callable[..., Facts]) -> None:
    """RFC 5321 4.5.3.1: 64 characters, @, and 254 in all."""
    address = "t" * 64 + "@" + ".".join(["k" * 60] * 3) + ".exampl"
    assert len(address) == 254

    message = received(facts(contact=Contact(mail_address=address)))

    assert [one.addr_spec for one in message["To"].addresses] == [address]


def test_a_japanese_domain_is_written_by_its_ascii_name(facts: Callable[..., Facts]) -> None:
    message = received(facts(contact=Contact(mail_address="tanto@見本.example")))

    assert message["To"].addresses[0].addr_spec == "tanto@xn--xht07o.example".replace(
        "xn--xht07o", "見本".encode("idna").decode()
    )
