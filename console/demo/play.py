"""Plays one case to its end and returns what was seen, or raises what was not."""

import asyncio
import hashlib
import json
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from console.demo.cases import Case
from console.demo.parties import Contractor, Desk, Document, MailBox, Purchaser, Unexpected

T = TypeVar("T")
LOOK_EVERY_SECONDS = 0.1


@dataclass(frozen=True)
class Cast:
    """Who plays in a case."""

    contractor: Contractor
    desk: Desk
    purchaser: Purchaser
    mailbox: MailBox


@dataclass
class Seen:
    """One product, as the parties saw it. Everything in it came over HTTP or SMTP."""

    standing: Document
    certificate: Document | None = None
    mail: Document | None = None
    key_shown: str = ""


@dataclass
class Outcome:
    """How a case ended."""

    case: Case
    refusal: Document | None = None
    findings: list[Document] = field(default_factory=list)
    message: str = ""
    products: list[Seen] = field(default_factory=list)


async def play(case: Case, cast: Cast, *, deadline: float) -> Outcome:
    """Apply, wait for the end, and check each party's view against the others'. `Unexpected` says what is wrong."""
    outcome = Outcome(case)
    idempotency_key = secrets.token_hex(16)
    if case.refused is not None:
        outcome.refusal = await cast.contractor.apply(case.form, idempotency_key, expect=422)
        named = [(error["field"], error["rule"]) for error in outcome.refusal["errors"]]
        _expect(case.refused in named, f"the refusal must name {case.refused}, it named {named}")
        return outcome
    answer = await cast.contractor.apply(case.form, idempotency_key)
    again = await cast.contractor.apply(case.form, idempotency_key)
    _expect(again == answer, "the same Idempotency-Key must give the same answer")
    application_id = answer["application_id"]
    if case.desk is not None:
        await _decide(case, cast, application_id, outcome, deadline)

    async def ended() -> Document | None:
        application = await cast.contractor.application(application_id)
        status = {product["product"]: product["status"] for product in application["products"]}
        return application if status == case.ends else None

    application = await _until(ended, deadline, f"the application did not come to {case.ends}")
    outcome.message = application["message"]
    if case.desk is not None:
        _expect(outcome.message == case.desk[1], "the contractor must read the desk's message")
    outcome.products = [await _see(product, case, cast, deadline) for product in application["products"]]
    return outcome


async def _decide(case: Case, cast: Cast, application_id: str, outcome: Outcome, deadline: float) -> None:
    waiting = await _until(lambda: cast.desk.waiting(application_id), deadline, "the desk's queue never showed it")
    assert case.desk is not None
    outcome.findings = waiting["findings"]
    rules = [finding["rule"] for finding in outcome.findings]
    _expect(case.finding in rules, f"the desk must see {case.finding}, it saw {rules}")
    await cast.desk.decide(application_id, *case.desk)


async def _see(standing: Document, case: Case, cast: Cast, deadline: float) -> Seen:
    seen = Seen(standing)
    number = standing["contract_number"]
    match standing["status"]:
        case "issued":
            await _see_certificate(seen, number, case, cast, deadline)
        case "issued_on_paper":
            _expect(await cast.desk.to_print(number) is not None, f"{number} must be on the list to print")
            await cast.contractor.call("GET", f"/api/guarantees/{number}/authentication-key", expect=404)
        case _:
            _expect(number is None, "what is not issued shows no number")
    return seen


async def _see_certificate(seen: Seen, number: str, case: Case, cast: Cast, deadline: float) -> None:
    guarantee = await cast.contractor.guarantee(number)
    key = await cast.contractor.key(number)
    seen.key_shown = f"{key[:2]}{'•' * (len(key) - 2)}"
    seen.certificate = certificate = await cast.purchaser.look_up(number, key)
    _expect(certificate["content"] == guarantee["overview"], "purchaser and contractor must see the same")
    _expect(_sha256(certificate["content"]) == certificate["content_sha256"], "the hash must be that of the content")
    _expect(certificate["registered_at"] == seen.standing["registered_at"], "both must see the same arrival time")

    async def viewed() -> bool:
        return bool((await cast.contractor.guarantee(number))["views"])

    await _until(viewed, deadline, f"the contractor was never told that {number} was viewed")
    if not case.mail:
        return

    async def arrived() -> Document | None:
        return next(iter(await cast.mailbox.about(number)), None)

    seen.mail = mail = await _until(arrived, deadline, f"no mail about {number} arrived")
    to = [recipient["Address"] for recipient in mail["To"]]
    _expect(to == [case.form["mail_address"]], f"the mail about {number} went to {to}")
    _expect(key not in json.dumps(mail), f"the mail about {number} holds the key")

    async def told() -> bool:
        product = (await cast.contractor.guarantee(number))["mail"]
        return product is not None and product["outcome"] == "sent"

    await _until(told, deadline, f"the contractor was never told that the mail about {number} was sent")


async def unwanted_mails(outcome: Outcome, mailbox: MailBox) -> list[str]:
    """Numbers of a case without mail that were mailed all the same. Asked last, when mails had time to come."""
    numbers = [seen.standing["contract_number"] for seen in outcome.products if not outcome.case.mail]
    return [number for number in numbers if number and await mailbox.about(number)]


async def _until(look: Callable[[], Awaitable[T | None]], deadline: float, otherwise: str) -> T:
    while True:
        found = await look()
        if found:
            return found
        if time.monotonic() > deadline:
            raise Unexpected(otherwise)
        await asyncio.sleep(LOOK_EVERY_SECONDS)


def _expect(holds: object, otherwise: str) -> None:
    if not holds:
        raise Unexpected(otherwise)


def _sha256(content: dict[str, Any]) -> str:
    """As an outsider computes it, from what the purchaser was shown."""
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()
