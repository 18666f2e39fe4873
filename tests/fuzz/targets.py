"""What is read of what others wrote, and what must hold whatever they wrote.

A target takes bytes and raises when a promise is broken: another error than the documented one escapes, what was read
is not what is written again, or a line, a header or a name is not the one line, header or name that it must stay.
Seeds are inputs to begin with: the published examples, and what the other tests think of.
"""

import contextlib
import email
import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from typing import Any, Final
from uuid import UUID

from pydantic import ValidationError
from starlette.requests import Request

from chassis import sealing
from chassis.decoding import Forgotten, Received, Refused, decode
from chassis.sealing import CannotOpen, DataKey
from chassis.web.idempotency import write_of
from chassis.web.pages import read_fields
from chassis.web.paging import moment, read_cursor, write_cursor
from chassis.web.problems import Problem
from documents.certificate import certificate_pdf
from documents.rendering import CharacterNotPrintable, DoesNotFitOnePage, unprintable
from reference import reader
from reference.codes import PRODUCTS
from schemas import authentication_key, contract_number, publish, topics
from schemas.certificates import CertificateContent, CertificateIssued
from schemas.envelope import message_of
from schemas.sealed import Contact
from services.intake import handlers as intake
from services.intake import views as intake_views
from services.intake.web import guarantees as intake_pages
from services.intake.web import typed as intake_typed
from services.issuer import searching
from services.issuer import typed as issuer_typed
from services.notifier import composing
from services.registry.web import typed as registry_typed
from tests.integration.documents.samples import AT, a_content
from tests.support.builders import a_raw_record
from tests.unit.transparency import building
from tests.unit.transparency.test_proofs import LOG as LEAVES
from tests.unit.transparency.test_proofs import a_proof
from transparency import commitments, leaves, strict, tiles, witness
from transparency.checkpoints import Checkpoint
from transparency.errors import DoesNotVerify, Malformed
from transparency.notes import Note
from transparency.proofs import verify_proof
from transparency.signatures import SignerKey, VerifierKey

Check = Callable[[bytes], None]
#: Between the parts of an input that has several.
PART: Final = b"\0"


@dataclass(frozen=True)
class Target:
    """Something that reads what others wrote."""

    check: Check
    seeds: tuple[bytes, ...]

    @property
    def name(self) -> str:
        return self.check.__name__


TARGETS: Final[dict[str, Target]] = {}


def target(*seeds: bytes | str) -> Callable[[Check], Check]:
    def add(check: Check) -> Check:
        raw = tuple(seed if isinstance(seed, bytes) else seed.encode() for seed in seeds)
        TARGETS[check.__name__] = Target(check, raw)
        return check

    return add


def parts(data: bytes, count: int) -> list[bytes]:
    found = data.split(PART, count - 1)
    return found + [b""] * (count - len(found))


def texts(data: bytes, count: int) -> list[str]:
    return [part.decode("utf-8", "replace") for part in parts(data, count)]


# --- messages ---------------------------------------------------------------------------------------------------------

EXAMPLES: Final = [example for _, example in publish.examples()]
#: A code of ours, perhaps with the field and the kind of the fault: nothing that was sent.
_REASON: Final = re.compile(r"[a-z0-9_.]+(?::[A-Za-z0-9_.\[\]-]*:[a-z_]+)?")


def _as_input(example: publish.Example) -> bytes:
    head = "\n".join(f"{name}: {value}" for name, value in example.headers.items())
    return PART.join(
        [example.topic.name.encode(), example.key.encode(), head.encode(), json.dumps(example.value).encode()]
    )


@target(*map(_as_input, EXAMPLES), b"data-keys.v1\0a", b"applications.v1\0a\0ce_specversion: 1.0")
def messages(data: bytes) -> None:
    """A record of any topic, as every group reads it."""
    name, key, head, *value = data.split(PART, 3) if data.count(PART) >= 2 else (*parts(data, 3),)
    lines = [line.partition(b": ") for line in head.split(b"\n")]
    headers = tuple((name.decode("utf-8", "replace"), value) for name, _, value in lines)
    topic_name = name.decode("utf-8", "replace")
    for group in topics.GROUPS:
        record = a_raw_record(topic=topic_name, key=key, headers=headers, value=value[0] if value else None)
        try:
            read = decode(record, group)
        except Refused as refused:
            assert _REASON.fullmatch(refused.reason), refused.reason
            continue
        if isinstance(read, Forgotten):
            assert not value
            assert read.topic.tombstones
            continue
        again = decode(_written(read), group)
        assert isinstance(again, Received)
        assert again.event == read.event
        assert again.cause.correlation_id == read.cause.correlation_id
        if isinstance(read.event, CertificateIssued) and isinstance(again.event, CertificateIssued):
            assert again.event.content.sha256() == read.event.content.sha256()


def _written(read: Received[Any]) -> Any:
    topic = topics.of_event(type(read.event))
    message = message_of(read.event, source=topic.writer, topic=topic.name, cause=read.cause)
    return a_raw_record(topic=message.topic, key=message.key, headers=message.headers, value=message.value)


CONTENTS: Final = [example.value["content"] for example in EXAMPLES if example.topic is topics.CERTIFICATES]


@target(*map(json.dumps, CONTENTS))
def certificate_contents(data: bytes) -> None:
    """What is hashed is hashed alike by whoever reads it again, from its canonical form or from JSON of any layout."""
    try:
        content = CertificateContent.model_validate_json(data)
    except ValidationError:
        return
    canonical = content.canonical()
    assert CertificateContent.model_validate_json(canonical).canonical() == canonical
    loose = json.dumps(json.loads(canonical), indent=1, ensure_ascii=True)
    assert CertificateContent.model_validate_json(loose).sha256() == hashlib.sha256(canonical).hexdigest()


# --- requests ---------------------------------------------------------------------------------------------------------

CURSORS: Final = ((moment, UUID), (UUID,), (UUID, intake_views.product_code))


@target(
    write_cursor(datetime(2026, 4, 1, tzinfo=UTC), UUID(int=1)),
    write_cursor(UUID(int=1)),
    write_cursor(UUID(int=1), "performance"),
    write_cursor("0001-01-01T00:00:00+23:59", UUID(int=1)),
    write_cursor("2026-01-01", UUID(int=1)),
    b"W1tdXQ",
)
def cursors(data: bytes) -> None:
    """Places in lists: as we wrote them, or refused; and whatever is taken, PostgreSQL can take."""
    cursor = data.decode("utf-8", "replace")
    for kinds in CURSORS:
        try:
            place = read_cursor(cursor, *kinds)
        except Problem as problem:
            assert problem.status == 422
            continue
        assert read_cursor(write_cursor(*place), *kinds) == place
        for part in place:
            if isinstance(part, datetime):
                part.astimezone(UTC)
            assert part in PRODUCTS or not isinstance(part, str)


@target(b"a-key\0" + json.dumps({"b": [1, 2.5, None], "a": "\u3042"}).encode(), b"\xe3\0{}", b"k\0[[[[]]]]", b"k\0NaN")
def idempotency_keys(data: bytes) -> None:
    """The same document in another layout is the same request."""
    key, body = parts(data, 2)
    scope = {"type": "http", "method": "POST", "path": "/x", "query_string": b"", "server": ("a", 1), "scheme": "http"}
    request = Request({**scope, "headers": [(b"idempotency-key", key)]})
    try:
        document = intake.parse_json(body)
        write = write_of(request, scope="s", document=document)
    except Problem as problem:
        assert problem.status == 400
        return
    other = intake.parse_json(json.dumps(document, indent=2).encode())
    assert write_of(request, scope="s", document=other) == write
    try:
        intake.read_form(document)
    except Problem as problem:
        assert problem.status in (400, 422)


SURETIES: Final = reader.load().sureties
_REFERENCE: Final = reader.load()


def _a_form() -> str:
    return "&".join(
        f"{name}={index}" for index, name in enumerate(intake_typed.names_of(next(iter(SURETIES.values()))))
    )


@target(
    _a_form(),
    "works.price_yen=%EF%BC%92%EF%BC%90%2C000%E5%86%86&works.contract_date=2026%2F4%2F1&products.performance=yes",
    "products.advance_payment=yes&products.advance_payment.amount_yen=9999999999999999&works.price_yen=0",
    "number=31072-000012&key=Z28YUE4J3Bux&text=a%0D%0Ab",
)
def forms(data: bytes) -> None:
    """Forms of pages: every field is text, whatever it is; faults name fields and never what was typed."""
    try:
        typed = read_fields(data)
    except Problem as problem:
        assert problem.status == 400
        return
    for surety in SURETIES.values():
        names = intake_typed.names_of(surety)
        fields = {name: str(typed.get(name, "")) for name in names}
        for fault in intake_typed.check(fields, surety, _REFERENCE):
            assert fault.message_ja
            assert fault.message_en
        for product in PRODUCTS:
            assert re.fullmatch(r"[0-9]+\.[0-9]", intake_typed.ratio(fields, product, surety))
    for text in map(str, typed.values()):
        assert "\0" not in text
        amount, day = intake_typed.yen_of(text), intake_typed.day_of(text)
        assert amount is None or 0 <= amount < 10**16
        assert day is None or intake_typed.day_of(day.isoformat()) == day
        try:
            kept = issuer_typed.lines_of(text, "text", longest=issuer_typed.MESSAGE_LENGTH)
        except Problem as problem:
            assert problem.status == 422
        else:
            assert issuer_typed.lines_of(kept, "text", longest=issuer_typed.MESSAGE_LENGTH) == kept
            assert "\0" not in kept


@target("page=2", "page=000000001" + "0" * 20, "page=%EF%BC%91", "page=9999")
def page_numbers(data: bytes) -> None:
    scope = {"type": "http", "method": "GET", "path": "/", "headers": [], "query_string": data}
    assert 1 <= intake_pages.page_number(Request(scope)) <= intake_pages.MOST_PAGES


# --- numbers and keys -------------------------------------------------------------------------------------------------

NUMBER: Final = contract_number.compose("31072", 12)


@target(
    f"{NUMBER}\0Z28YUE4J3Bux",
    "３１０７２－０００１２\0 Ｚ２８",
    f"\0{NUMBER}",
    "3107200012\0\u200b",
    "10226 00001a\0ｚ",
)
def numbers_and_keys(data: bytes) -> None:
    """As people type them."""
    typed, key = texts(data, 2)
    number = contract_number.normalise(typed)
    assert contract_number.normalise(number) == number
    assert authentication_key.normalise(authentication_key.normalise(key)) == authentication_key.normalise(key)
    if contract_number.is_well_formed(number):
        assert contract_number.compose(number[:5], int(number[6:11])) == number
        for place in (0, 7, 11):
            other = number[:place] + ("1" if number[place] == "0" else "0") + number[place + 1 :]
            assert not contract_number.is_well_formed(other)
    faults = registry_typed.faults_of(typed, key)
    assert [fault.name for fault in faults] in ([], ["number"], ["key"], ["number", "key"])
    for fault in faults:
        said = fault.values.get("character", "「x」")
        assert said in registry_typed.MISREAD.values() or len(said) == 3
    terms = searching.terms_of(typed)
    assert "\0" not in (terms.text or "")


# --- mail -------------------------------------------------------------------------------------------------------------

_HEADERS: Final = {
    *("date", "message-id", "from", "to", "subject", "auto-submitted", "list-id", "x-akashi-correlation-id"),
    *("content-language", "mime-version", "content-type"),
}


def _facts(data: bytes) -> composing.Facts:
    address, contractor, works, person, correlation = texts(data, 5)
    surety = next(iter(SURETIES.values()))
    return composing.Facts(
        letter="completion",
        surety=surety,
        branch=surety.branches[0],
        contractor_name=contractor,
        works_name=works,
        application_id=UUID(int=1),
        products=("performance",),
        contract_number=NUMBER,
        happened_at=datetime(2026, 3, 31, tzinfo=UTC),
        page="https://portal.akashi.example/x",
        contact=Contact(mail_address=address, person=person, department=works, title=contractor),
        message_id="<a.completion@akashi.example>",
        correlation_id=correlation,
    )


@target(
    "tanto@kensetsu.example\0株式会社髙﨑建設\0橋\0見本 太郎\0id",
    "a@例え.テスト\0x\r\nBcc: you@example.org\0\u2028y\0\u202ez\0\r\n\r\nbody",
    '"a b"@x.example\0=?utf-8?q?a?=\0{{ 7*7 }}\0<b>\0',
    "a@b@c.example\0\0\0\0",
)
def mails(data: bytes) -> None:
    """One address or none; and a letter's headers are ours, one line each, and no more of them."""
    try:
        letter = composing.compose(_facts(data), now=datetime(2026, 4, 1, tzinfo=UTC))
    except composing.NoAddress:
        return
    raw = composing.as_sent(letter)
    head, _, _ = raw.partition(b"\r\n\r\n")
    names = [line.split(b":")[0].decode().lower() for line in head.split(b"\r\n") if line[:1] not in (b" ", b"\t")]
    assert len(names) == len(set(names))
    assert set(names) == _HEADERS
    assert b"\n" not in head.replace(b"\r\n", b"")
    assert b"\r" not in head.replace(b"\r\n", b"")
    read = email.message_from_bytes(raw, policy=SMTP)
    assert isinstance(read, EmailMessage)
    assert [(one.username, one.domain) for one in read["To"].addresses] == [
        (one.username, one.domain) for one in letter["To"].addresses
    ]
    assert len(read["To"].addresses) == 1
    assert str(read["Subject"]) == str(letter["Subject"])
    assert [part.get_content_type() for part in read.iter_parts()] == ["text/plain", "text/html"]


# --- sealed -----------------------------------------------------------------------------------------------------------

_PRIVATE: Final = bytes(range(32))
_KEY: Final = DataKey(UUID(int=7), bytes(32))


@target(b"", b"a" * 31, b"a" * 48, b"\0" * 80, bytes(range(200)), b"AAAA", sealing.MARK + bytes(140))
def sealed_boxes(data: bytes) -> None:
    """Nothing opens that was not sealed, and nothing but the documented error comes of it."""
    for attempt in (
        lambda: sealing.open_with(_PRIVATE, data, info=b"x"),
        lambda: _KEY.open(data[:12], data[12:], about=UUID(int=1)),
        lambda: _KEY.open(data, data, about=UUID(int=1)),
    ):
        try:
            attempt()
        except CannotOpen:
            continue
        raise AssertionError("it was opened")


# --- documents --------------------------------------------------------------------------------------------------------


@target(
    "株式会社髙﨑建設\0橋 #x $y$",
    '𠮷田\0\\ " {{ }} `',
    "\u202e\0😀",
    "W" * 300 + "\0" + "長" * 200,
    "葛\U000e0100\0ﾊﾝｶｸ\u3099",
)
def drawn_documents(data: bytes) -> None:
    """A name that is let in is printed on one page; every other is refused by its character."""
    contractor, works = (text[:200] for text in texts(data, 2))
    try:
        content = a_content(contractor_name=contractor, works_name=works)
    except ValidationError:
        return
    first = unprintable(contractor) or unprintable(works)
    try:
        drawn = certificate_pdf(content, registered_at=AT)
    except CharacterNotPrintable as refused:
        assert first is not None
        assert refused.character in contractor + works
    except DoesNotFitOnePage:
        assert len(contractor + works) > 120
    else:
        assert first is None
        assert drawn.startswith(b"%PDF-")


# --- transparency -----------------------------------------------------------------------------------------------------


def _is_one_line(refused: DoesNotVerify) -> bool:
    return str(refused).replace("\u3000", " ").isprintable()


_CHECKPOINT: Final = a_proof()["checkpoint"]


@target(
    _CHECKPOINT,
    Note.parse(_CHECKPOINT).text,
    "tile/entries/x001/234.p/7",
    "tile/0/000",
    f"old 3\n{strict.to_base64(bytes(32))}\n\n{_CHECKPOINT}",
    str(building.LOG.verifier),
    building.LOG.secret_text(),
)
def log_texts(data: bytes) -> None:
    """Every text form has one reading, and every value one text."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        text = ""
    for parse in (Note.parse, Checkpoint.parse, tiles.Tile.parse):
        try:
            value = parse(text)
        except Malformed:
            continue
        assert (value.path if isinstance(value, tiles.Tile) else str(value)) == text
    # Keys are typed in by people: their ids may be in capitals.
    with contextlib.suppress(Malformed):
        assert str(VerifierKey.parse(text)).lower() == text.lower()
    with contextlib.suppress(Malformed):
        assert SignerKey.parse(text).secret_text().lower() == text.lower()
    try:
        request = witness.AddCheckpoint.parse(data)
    except Malformed:
        return
    assert str(request).encode() == data
    decision = witness.decide(
        request, log_keys=(building.LOG.verifier,), seen=witness.Seen(), witness=building.WITNESS, now=1
    )
    assert decision.status != witness.COSIGNED or decision.seen.size == Checkpoint.parse(request.note.text).size


@target(tiles.format_bundle([b"a", b"", bytes(300)]), b"\0\0", b"\xff\xff")
def bundles(data: bytes) -> None:
    for width in (1, 2, 3, 256):
        try:
            entries = tiles.parse_bundle(data, width)
        except Malformed:
            continue
        assert tiles.format_bundle(entries) == data


@target(*(json.dumps(a_proof(index)) for index in (0, 6, 14)), b'{"a": 1.5}', b"[" * 3000)
def proofs(data: bytes) -> None:
    """Whatever verifies is what was logged; everything else is refused by the documented error."""
    try:
        proven = verify_proof(strict.from_json(data), building.TRUST)
    except DoesNotVerify as refused:
        assert _is_one_line(refused)
        return
    assert proven.document == LEAVES[proven.index].document


@target(*(json.dumps(leaf.document) for leaf in LEAVES[:6]), '{"\\ufb11": 1, "\\ud842\\udfb7": 2}', '"\\ud800"')
def logged_documents(data: bytes) -> None:
    try:
        document = strict.from_json(data)
        canonical = commitments.canonical(document)
    except Malformed:
        return
    assert strict.from_json(canonical) == document
    assert commitments.canonical(strict.from_json(canonical)) == canonical
    if isinstance(document, dict):
        try:
            leaves.check(document)
        except DoesNotVerify as refused:
            assert _is_one_line(refused)
