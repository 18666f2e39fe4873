"""A trail's order and its wording: what came of what, and never a secret in a line."""

import inspect
import json
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from pypdf import PdfReader

from console.audit import wording
from console.audit.trail import STEPS, Entry, in_order, once
from documents.trail import TrailLine, trail_pdf
from schemas import topics
from schemas.applications import MessageToSurety, WithdrawalRequested
from schemas.data_keys import DataKeyWrapped, WrappedKey
from schemas.decisions import DeskDecisionMade, Fee, FeeLine, MessageToContractor, WithdrawalRefused
from schemas.event import Event
from schemas.notifications import (
    ApplicationMailSent,
    ApplicationMailUndeliverable,
    MailSent,
    MailUndeliverable,
)
from schemas.sealed import SealedText
from schemas.views import CertificateViewed
from tests.unit.console import events

FIRST, SECOND, THIRD = UUID(int=21), UUID(int=22), UUID(int=23)
SECRET = "U0VDUkVU"
PRIVATE = "himitsu@example.test"
MESSAGE_ID = f"<{events.CERTIFICATE}.completion@toto-hosho.example>"


def entry(kind: str, *, after: float = 0, offset: int = 0, **changed: Any) -> Entry:
    at = events.MOMENT + timedelta(seconds=after)
    fields: dict[str, Any] = {"service": "issuer", "says": kind, "source": f"t:0:{offset}", "offset": offset}
    return Entry(at, type=kind, **(fields | changed))


def types(entries: Any) -> list[str]:
    return [told.type for told in in_order(entries)]


def every_event() -> list[Event]:
    text = SealedText(data_key_id=UUID(int=9), nonce=SECRET, ciphertext=SECRET)
    about = {"application_id": events.APPLICATION, "certificate_id": events.CERTIFICATE}
    letter = {"letter": "completion", "message_id": MESSAGE_ID, "attempts": 2}
    number = {"contract_number": events.NUMBER}
    now = events.MOMENT
    fee = Fee(lines=(FeeLine(base_yen=1, rate_percent="0.35", fee_yen=3500),), fee_yen=3500)
    return [
        events.submitted(products=(("performance", "electronic"), ("advance_payment", "paper"))),
        WithdrawalRequested(application_id=events.APPLICATION, requested_at=now, requested_by=events.ACCOUNT),
        MessageToSurety(
            message_id=FIRST, application_id=events.APPLICATION, sent_at=now, sent_by=events.ACCOUNT, text=text
        ),
        events.queued(),
        DeskDecisionMade(
            application_id=events.APPLICATION,
            decided_at=now,
            decided_by=events.ACCOUNT,
            person="審査　花子",
            outcome="returned",
            message=PRIVATE,
            proposed_by=FIRST,
            proposer="起案　太郎",
        ),
        events.decided(
            outcomes=(
                events.outcome(),
                events.outcome("advance_payment", "paper", number="31072-00002X").model_copy(update={"fee": fee}),
            ),
            message=PRIVATE,
        ),
        events.withdrawn(),
        WithdrawalRefused(application_id=events.APPLICATION, refused_at=now, reason="already_decided"),
        MessageToContractor(
            message_id=FIRST, application_id=events.APPLICATION, sent_at=now, sent_by=events.ACCOUNT, text=text
        ),
        events.issued(),
        events.registered(events.issued()),
        CertificateViewed(
            view_id=FIRST,
            version=1,
            purchaser_id="tochigi",
            viewed_by=events.ACCOUNT,
            viewed_at=now,
            salt=SECRET,
            leaf_index=3,
            **about,
            **number,
        ),
        MailSent(sent_at=now, **about, **number, **letter),
        MailUndeliverable(gave_up_at=now, reason="refused", smtp_code=550, **about, **number, **letter),
        ApplicationMailSent(application_id=events.APPLICATION, sent_at=now, **letter),
        ApplicationMailUndeliverable(application_id=events.APPLICATION, gave_up_at=now, reason="expired", **letter),
        DataKeyWrapped(
            application_id=events.APPLICATION,
            data_key_id=UUID(int=9),
            created_at=now,
            wrapped_for=(WrappedKey(reader="notifier", wrapped=SECRET), WrappedKey(reader="issuer", wrapped=SECRET)),
        ),
    ]


def test_there_is_an_event_of_every_kind_here_and_a_line_and_a_step_for_each() -> None:
    known = {event for topic in topics.BUSINESS for event in topic.events}

    assert {type(event) for event in every_event()} == known
    assert {event.__name__ for event in known} <= set(STEPS)
    for event in every_event():
        assert wording.line_of(event) != type(event).__name__


def secrets_of(value: Any, name: str = "") -> set[str]:
    """Every string of an event under a name that says it is secret or somebody's words."""
    untold = {"nonce", "ciphertext", "wrapped", "sealed", "digest", "pepper_id", "salt", "content_sha256", "message"}
    if isinstance(value, dict):
        return {found for key, each in value.items() for found in secrets_of(each, key)}
    if isinstance(value, list):
        return {found for each in value for found in secrets_of(each, name)}
    return {value} if name in untold and isinstance(value, str) and len(value) > 1 else set()


@pytest.mark.parametrize("event", every_event(), ids=lambda event: type(event).__name__)
def test_no_line_tells_a_key_a_digest_sealed_or_free_text_or_an_address(event: Event) -> None:
    document = json.loads(event.model_dump_json())
    line = wording.line_of(event)

    assert not [secret for secret in secrets_of(document) if secret in line]
    assert "@" not in line
    assert "\n" not in line
    assert len(line) < 200


def test_the_secrets_looked_for_are_there() -> None:
    found = set().union(*(secrets_of(json.loads(event.model_dump_json())) for event in every_event()))

    assert {SECRET, PRIVATE, events.issued().authentication_key.digest, events.issued().content_sha256} <= found


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("ApplicationSubmitted", "契約保証 performance（電子 electronic）1,000,000円"),
        ("ApplicationQueued", "審査待ち queued: LIM-2"),
        ("DeskDecisionMade", "差戻し returned; 審査　花子; 起案 proposed by 起案　太郎"),
        ("ApplicationDecided", "承認 accepted 31072-00002X 保証料 fee 3,500円"),
        ("CertificateIssued", "電子証書を発行 issued: 契約保証 performance 31072-000019 第1版 version 1"),
        ("CertificateRegistered", "電子保証発行日時 registered"),
        ("CertificateViewed", "発注者が照会 viewed: 31072-000019"),
        ("MailUndeliverable", "発行完了 completion 31072-000019; refused SMTP 550; 2回試行 attempts"),
        ("DataKeyWrapped", "連絡先の鍵を配布 data key wrapped: issuer、notifier"),
    ],
)
def test_a_line_says_it_in_japanese_with_the_codes(kind: str, words: str) -> None:
    event = next(event for event in every_event() if type(event).__name__ == kind)

    assert words in wording.line_of(event)


def test_a_code_that_is_new_is_told_as_it_is() -> None:
    assert "bid_bond" in wording.line_of(events.issued(product="bid_bond", content=events.content(product="bid_bond")))


def test_what_a_terminal_would_obey_is_written_out() -> None:
    assert entry("x", says="a\x1b[2Jb\nc").says == "a\\x1b[2Jb c"


@pytest.mark.parametrize(
    ("letter", "ended", "words"),
    [
        ({"state": "sent", "ended_at": events.MOMENT}, False, "お知らせを台帳に記載 letter noted: 発行完了 completion"),
        ({"state": "sent", "ended_at": events.MOMENT}, True, "送信済 sent; 1回試行 attempts"),
        ({"state": "queued", "deferrals": 2, "smtp_code": 451}, False, "送信待ち queued; 1回試行 attempts, 2回延期"),
        ({"state": "undeliverable", "ended_at": events.MOMENT, "reason": "refused"}, True, "送信不能 undeliverable"),
    ],
)
def test_a_letter_of_the_ledger_says_how_far_it_came(letter: dict[str, Any], ended: bool, words: str) -> None:
    row = {"letter": "completion", "attempts": 1, "deferrals": 0, "smtp_code": None, "reason": None, "ended_at": None}

    assert words in wording.letter_line(row | letter, ended=ended)


def test_no_line_about_a_row_reads_a_secret_column() -> None:
    source = inspect.getsource(wording)

    for column in ("key_nonce", "key_ciphertext", "key_digest", "pepper", "contact", "message_id", "['message']"):
        assert column not in source


def test_it_goes_by_time() -> None:
    assert types([entry("MailSent", after=2), entry("ApplicationSubmitted"), entry("CertificateIssued", after=1)]) == [
        "ApplicationSubmitted",
        "CertificateIssued",
        "MailSent",
    ]


def test_what_has_the_same_time_goes_by_the_steps_of_the_flow() -> None:
    assert types(entry(kind) for kind in reversed(STEPS)) == list(STEPS)


def test_records_of_one_place_keep_their_order() -> None:
    told = in_order(entry("CertificateViewed", offset=offset) for offset in (10, 9, 11))

    assert [each.offset for each in told] == [9, 10, 11]


def test_an_effect_is_told_after_its_cause_whatever_the_clocks_said() -> None:
    issued = entry("CertificateIssued", after=10, event_id=FIRST)
    registered = entry("CertificateRegistered", after=5, event_id=SECOND, caused_by=str(FIRST))
    sent = entry("MailSent", after=4, event_id=THIRD, caused_by=str(SECOND))
    viewed = entry("CertificateViewed", after=7)

    assert types([sent, registered, issued, viewed]) == [
        "CertificateViewed",
        "CertificateIssued",
        "CertificateRegistered",
        "MailSent",
    ]


def test_a_cause_that_is_not_here_holds_nothing_up() -> None:
    assert types([entry("MailSent", caused_by=str(THIRD))]) == ["MailSent"]


def test_events_that_cause_each_other_are_told_all_the_same() -> None:
    one = entry("MailSent", event_id=FIRST, caused_by=str(SECOND))
    other = entry("CertificateIssued", event_id=SECOND, caused_by=str(FIRST))

    assert types([one, other, entry("ApplicationSubmitted")]) == [
        "ApplicationSubmitted",
        "CertificateIssued",
        "MailSent",
    ]


def test_what_was_told_again_is_told_once_and_counted() -> None:
    first, again, other = entry("MailSent"), entry("MailSent", offset=5), entry("CertificateIssued")

    assert [(told.type, told.offset, told.repeats) for told in once([(first, 1), (other, 2), (again, 1)])] == [
        ("MailSent", 0, 1),
        ("CertificateIssued", 0, 0),
    ]


def test_the_fields_of_a_line_for_programs_are_these() -> None:
    told = entry("MailSent", event_id=FIRST, correlation_id="chain").as_json()

    assert list(told) == [
        "at",
        "at_jst",
        "service",
        "type",
        "says",
        "correlation_id",
        "event_id",
        "source",
        "repeats",
    ]
    assert told["at_jst"] == "2026-04-10 10:02:03.456"
    assert datetime.fromisoformat(told["at"]) == events.MOMENT


def test_as_a_document_it_takes_as_many_pages_as_it_needs(tmp_path: Any) -> None:
    line = TrailLine(events.MOMENT, "issuer", "MailSent", "お知らせ\u202e 😀 mail sent", "chain", "t:0:1")
    path = tmp_path / "trail.pdf"

    path.write_bytes(trail_pdf(str(events.APPLICATION), [events.NUMBER], [line] * 60))

    read = PdfReader(path)
    words = " ".join(page.extract_text() for page in read.pages)
    assert len(read.pages) > 1
    assert events.NUMBER in words
    assert words.count("相関ID") == len(read.pages)
    assert "〓" in words
    assert read.metadata is not None
    assert read.metadata.title == f"保証契約の経過記録 {events.NUMBER}"
    assert date(2026, 4, 10).strftime("%Y/%m/%d") in words


def test_the_same_trail_is_the_same_document() -> None:
    line = TrailLine(events.MOMENT, "issuer", "MailSent", "mail sent", "chain", "t:0:1")

    assert trail_pdf("a", [], [line]) == trail_pdf("a", [], [line])
