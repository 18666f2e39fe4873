"""Do issuer, registry, intake and notifier agree about one application? Pure: their rows in, differences out.

An effect without its cause is a difference at once, because effects were read before causes. A cause without its effect
is one when it is older than the threshold; until then it is on its way.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from console.audit.fold import Difference

Row = Mapping[str, Any]

#: Every kind of difference, and what it means. The gauge has a series for each from the beginning.
KINDS: Final[Mapping[str, str]] = {
    "application_unanswered": "intake took it and the issuer has no row of it",
    "application_unknown_to_intake": "the issuer or the notifier has it and intake has not",
    "queue_unknown_to_intake": "it waits at the desk and intake did not hear so",
    "decision_unknown_to_intake": "the issuer decided and intake did not hear so",
    "decision_without_issuer": "intake heard of a decision that the issuer did not make",
    "decision_differs": "products or outcomes are others at intake than at the issuer",
    "withdrawal_unanswered": "the contractor asked to withdraw and the issuer has not answered",
    "withdrawal_unknown_to_intake": "the issuer answered a withdrawal and intake did not hear so",
    "withdrawal_differs": "intake heard another answer to a withdrawal than the issuer gave, or one it did not give",
    "issued_unregistered": "the issuer issued it and the registry has it not",
    "registered_unissued": "the registry has it and the issuer never issued it",
    "copies_differ": "the content is not the same at issuer, registry and intake",
    "issued_unknown_to_intake": "the issuer issued it and intake has no copy",
    "copy_without_issuer": "intake has a copy of what the issuer never issued",
    "registered_unknown_to_intake": "the registry has it and intake did not hear so",
    "arrival_without_registry": "intake heard of an arrival that the registry does not have",
    "view_unknown_to_intake": "a purchaser looked and intake did not hear so",
    "view_without_registry": "intake heard of a look that the registry does not have",
    "wish_unknown_to_notifier": "intake took it and the notifier knows no wish",
    "wish_differs": "the notifier's wish is not that of the application",
    "letter_is_missing": "a letter is wished for, what it tells has happened, and the ledger has it not",
    "letter_without_cause": "the ledger has a letter about a certificate that the registry has not",
    "letter_against_wish": "sent although nobody wished for it, or not although somebody did",
    "letter_is_late": "due and not sent",
    "letter_is_unclear": "nobody knows whether it left",
    "surety_not_told": "given up, and no letter to the surety tells so",
    "mail_unknown_to_intake": "a letter came to its end and intake did not hear so",
    "mail_differs": "intake heard of a letter what the ledger does not say",
    "half_waits": "a letter, a wish or a data key waits for its other half",
    "outbox_stands": "events wait to be published",
    "dead_letter_waits": "a record that its reader could not take was not given back",
}

#: How a letter ends with an event.
_TOLD: Final = frozenset({"sent", "undeliverable"})
_WISHES: Final = ("completion", "returned", "viewed")
#: Letters of which intake always followed what became; of those about an application it does so by now.
_FOLLOWED: Final = frozenset({"completion", "viewed"})


@dataclass(frozen=True)
class Facts:
    """Everything that the four hold of one application: the name of a stream → its rows."""

    application_id: UUID
    rows: Mapping[str, Sequence[Row]]

    def one(self, stream: str) -> Row | None:
        return next(iter(self.rows.get(stream, ())), None)

    def all(self, stream: str) -> Sequence[Row]:
        return self.rows.get(stream, ())

    def certificates(self, stream: str) -> dict[UUID, Row]:
        return {row["certificate_id"]: row for row in self.all(stream)}


@dataclass
class Judge:
    """Judges one application after the other, and counts what is no difference."""

    #: What is older than this should have had its effect.
    cutoff: datetime
    #: Which sureties want to be told of letters that were given up, by reference data of this version.
    told_sureties: frozenset[str]
    reference_version: str
    counts: Counter[str] = field(default_factory=Counter)

    def differences(self, facts: Facts) -> Iterator[Difference]:
        self.counts["applications"] += facts.one("applications") is not None
        self.counts["certificates"] += len(facts.all("registered"))
        for look in _LOOKS:
            yield from look(self, facts)

    def is_old(self, moment: datetime | None) -> bool:
        return moment is not None and moment < self.cutoff


def _about_application(judge: Judge, facts: Facts) -> Iterator[Difference]:
    """Submitted → taken by the issuer, who alone can answer."""
    asked, decision = facts.one("applications"), facts.one("decisions")
    subject = str(facts.application_id)
    wished_at = (facts.one("deliveries") or {}).get("wished_at")
    if asked is None:
        if decision is not None or wished_at is not None:
            yield _difference("application_unknown_to_intake", subject)
    elif decision is None:
        if judge.is_old(asked["submitted_at"]):
            yield _difference("application_unanswered", subject, f"since {asked['submitted_at'].isoformat()}")
        else:
            judge.counts["unanswered"] += 1


def _about_decision(judge: Judge, facts: Facts) -> Iterator[Difference]:
    """Queued or decided → known to the contractor, with the same outcomes."""
    decision, heard = facts.one("decisions") or {}, facts.one("answers") or {}
    subject, status = str(facts.application_id), decision.get("status")
    judge.counts["queued"] += status == "queued"
    if judge.is_old(decision.get("queued_at")) and not heard.get("queued_at"):
        yield _difference("queue_unknown_to_intake", subject)
    if not heard.get("decided_at"):
        if status == "decided" and judge.is_old(decision["decided_at"]):
            yield _difference("decision_unknown_to_intake", subject)
    elif status != "decided":
        yield _difference("decision_without_issuer", subject, f"at the issuer it is {status or 'unknown'}")
    elif decision["outcomes"] not in {None, heard["outcomes"]}:
        yield _difference("decision_differs", subject, f"issuer: {decision['outcomes']}; intake: {heard['outcomes']}")


def _about_withdrawal(judge: Judge, facts: Facts) -> Iterator[Difference]:
    """Asked for → answered → known to the contractor. The issuer notes no time, so its age is that of the asking."""
    asked = (facts.one("applications") or {}).get("withdrawal_requested_at")
    given = (facts.one("decisions") or {}).get("withdrawal")
    heard = (facts.one("answers") or {}).get("answer")
    subject = str(facts.application_id)
    if given is None:
        if heard is not None:
            yield _difference("withdrawal_differs", subject, f"intake: {heard}")
        elif judge.is_old(asked):
            yield _difference("withdrawal_unanswered", subject)
    elif heard is None:
        if asked is None or judge.is_old(asked):
            yield _difference("withdrawal_unknown_to_intake", subject, given)
    elif heard != given:
        yield _difference("withdrawal_differs", subject, f"issuer: {given}; intake: {heard}")


def _about_certificates(judge: Judge, facts: Facts) -> Iterator[Difference]:
    """Issued → registered and at intake; registered → known to intake. Nothing that was not before."""
    issued, registered = facts.certificates("issued"), facts.certificates("registered")
    copies, arrivals = facts.certificates("copies"), facts.certificates("arrivals")
    for causes, effects, when, kind in (
        (issued, registered, "issued_at", "issued_unregistered"),
        (issued, copies, "issued_at", "issued_unknown_to_intake"),
        (registered, arrivals, "registered_at", "registered_unknown_to_intake"),
    ):
        for identity in causes.keys() - effects.keys():
            if judge.is_old(causes[identity][when]):
                yield _difference(kind, str(identity), causes[identity]["contract_number"])
            else:
                judge.counts["on_their_way"] += 1
    for effects, causes, kind in (
        (registered, issued, "registered_unissued"),
        (copies, issued, "copy_without_issuer"),
        (arrivals, registered, "arrival_without_registry"),
    ):
        for identity in effects.keys() - causes.keys():
            yield _difference(kind, str(identity), effects[identity]["contract_number"])


def _about_copies(_: Judge, facts: Facts) -> Iterator[Difference]:
    """The same number and content wherever a certificate is."""
    said: dict[UUID, set[tuple[str, str]]] = {}
    for stream in ("issued", "registered", "copies", "arrivals"):
        for identity, row in facts.certificates(stream).items():
            said.setdefault(identity, set()).add((row["contract_number"], row["content_sha256"]))
    for identity, differing in said.items():
        if len(differing) > 1:
            yield _difference("copies_differ", str(identity), ", ".join(sorted({number for number, _ in differing})))


def _about_views(judge: Judge, facts: Facts) -> Iterator[Difference]:
    looked = {row["view_id"]: row for row in facts.all("views")}
    heard = {row["view_id"]: row for row in facts.all("looks")}
    for view_id in looked.keys() - heard.keys():
        if judge.is_old(looked[view_id]["viewed_at"]):
            yield _difference("view_unknown_to_intake", str(view_id), looked[view_id]["contract_number"])
    for view_id in heard.keys() - looked.keys():
        yield _difference("view_without_registry", str(view_id), heard[view_id]["contract_number"])


def _about_wishes(judge: Judge, facts: Facts) -> Iterator[Difference]:
    """What was wanted with the application → what the notifier thinks; and halves that stay alone."""
    asked = facts.one("applications")
    delivery = facts.one("deliveries") or {}
    subject = str(facts.application_id)
    if asked is not None and delivery.get("wished_at") is None:
        if judge.is_old(asked["submitted_at"]):
            yield _difference("wish_unknown_to_notifier", subject)
    elif asked is not None and (differing := [wish for wish in _WISHES if asked[wish] != delivery[wish]]):
        yield _difference("wish_differs", subject, ", ".join(differing))
    if delivery.get("shredded_at") is not None:
        return
    if delivery.get("has_key") and delivery["wished_at"] is None and judge.is_old(delivery["key_at"]):
        yield _difference("half_waits", subject, "a data key without an application")
    if delivery.get("has_contact") and not delivery["has_key"] and judge.is_old(delivery["wished_at"]):
        yield _difference("half_waits", subject, "an application without its data key")


def _about_letters(judge: Judge, facts: Facts) -> Iterator[Difference]:
    """What happened → a letter in the ledger → its outcome → known to the contractor."""
    letters = {(row["certificate_id"], row["letter"]): row for row in facts.all("letters")}
    delivery = facts.one("deliveries") or {}
    for place in _due(judge, facts, delivery):
        if place not in letters:
            yield _letter("letter_is_missing", facts, place)
    registered = facts.certificates("registered")
    asked = facts.one("applications") or {}
    # By other reference data the surety may have wanted otherwise when the letter was given up.
    is_sure = asked.get("reference_version") == judge.reference_version
    tells_surety = is_sure and asked["surety_id"] in judge.told_sureties
    for place, row in letters.items():
        certificate, letter = place
        if certificate is not None and certificate not in registered:
            yield _letter("letter_without_cause", facts, place)
        for kind in _state_of_letter(judge, row, wished=delivery.get(letter)):
            yield _letter(kind, facts, place, row["state"])
        is_told = not tells_surety or (certificate, f"undeliverable.{letter}") in letters
        if row["state"] == "undeliverable" and not letter.startswith("undeliverable.") and not is_told:
            yield _letter("surety_not_told", facts, place)
    yield from _about_mails(judge, facts, letters)


def _due(judge: Judge, facts: Facts, delivery: Row) -> Iterator[tuple[UUID | None, str]]:
    """Letters that must be in the ledger by now. One about an arrival is there whether it is wished for or not."""
    for identity, row in facts.certificates("registered").items():
        if judge.is_old(row["registered_at"]):
            yield identity, "completion"
    if delivery.get("viewed"):
        for identity in {row["certificate_id"] for row in facts.all("views") if judge.is_old(row["viewed_at"])}:
            yield identity, "viewed"
    decision = facts.one("decisions") or {}
    if (
        delivery.get("returned")
        and judge.is_old(decision.get("decided_at"))
        and " returned" in (decision["outcomes"] or "")
    ):
        yield None, "returned"


def _state_of_letter(judge: Judge, row: Row, *, wished: bool | None) -> Iterator[str]:
    match row["state"]:
        case "waiting":
            if judge.is_old(row["arrived_at"]):
                yield "half_waits"
        case "parked":
            yield "half_waits"
        case "unknown":
            yield "letter_is_unclear"
        case "queued" | "sending":
            # A mail server that put this one off said when to come again; one that takes nothing did not.
            put_off = row["state"] == "sending" or row["deferrals"]
            if judge.is_old(row["due_at"] if put_off else row["queued_at"]):
                yield "letter_is_late"
            else:
                judge.counts["letters_put_off" if row["deferrals"] else "on_their_way"] += 1
        case "sent" if wished is False:
            yield "letter_against_wish"
        case "not_wished" if wished is True:
            yield "letter_against_wish"


def _about_mails(judge: Judge, facts: Facts, letters: Mapping[tuple[UUID | None, str], Row]) -> Iterator[Difference]:
    heard = {(row["certificate_id"], row["letter"]): row["outcome"] for row in facts.all("mails")}
    for place, row in letters.items():
        is_told = place in heard or row["state"] not in _TOLD or place[1] not in _FOLLOWED
        if not is_told and judge.is_old(row["ended_at"]):
            yield _letter("mail_unknown_to_intake", facts, place, row["state"])
    for place, outcome in heard.items():
        state = letters[place]["state"] if place in letters else "not in the ledger"
        if state != outcome:
            yield _letter("mail_differs", facts, place, f"intake: {outcome}; notifier: {state}")


def _letter(kind: str, facts: Facts, place: tuple[UUID | None, str], detail: str = "") -> Difference:
    certificate, letter = place
    return _difference(kind, str(certificate or facts.application_id), f"{letter} {detail}".strip())


def _difference(kind: str, subject: str, detail: str = "") -> Difference:
    return Difference(kind, subject, f"{KINDS[kind]}{f' ({detail})' if detail else ''}")


_LOOKS: Final[Sequence[Callable[[Judge, Facts], Iterator[Difference]]]] = (
    _about_application,
    _about_decision,
    _about_withdrawal,
    _about_certificates,
    _about_copies,
    _about_views,
    _about_wishes,
    _about_letters,
)


def outbox_stands(service: str, *, waiting: int, oldest: datetime) -> Difference:
    return _difference("outbox_stands", service, f"{waiting} since {oldest.isoformat()}")


def dead_letter_waits(identity: str, *, group: str, reason: str, origin: str) -> Difference:
    return _difference("dead_letter_waits", identity, f"{group}, {reason}, {origin}")
