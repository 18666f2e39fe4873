"""What does one thing that happened say in one line? Japanese for people, the codes beside it for searching.

Only fields that are named here are ever shown, so that what a later release adds stays unseen: no key, digest, sealed
or free text, and no mail address.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from reference.codes import PRODUCTS
from schemas.applications import ApplicationSubmitted, MessageToSurety, WithdrawalRequested
from schemas.certificates import CertificateIssued
from schemas.data_keys import DataKeyWrapped
from schemas.decisions import (
    ApplicationDecided,
    ApplicationQueued,
    ApplicationWithdrawn,
    DeskDecisionMade,
    MessageToContractor,
    ProductOutcome,
    WithdrawalRefused,
)
from schemas.event import Event
from schemas.notifications import (
    ApplicationMailSent,
    ApplicationMailUndeliverable,
    MailSent,
    MailUndeliverable,
)
from schemas.registrations import CertificateRegistered
from schemas.views import CertificateViewed

_OUTCOMES: Final = {"accepted": "承認", "returned": "差戻し"}
_FORMS: Final = {"electronic": "電子", "paper": "紙"}
#: States of a letter in the notifier's ledger.
_STATES: Final = {
    "waiting": "待機中",
    "parked": "保留",
    "queued": "送信待ち",
    "sending": "送信中",
    "unknown": "結果不明",
    "sent": "送信済",
    "not_wished": "希望なし",
    "undeliverable": "送信不能",
}
_LETTERS: Final = {"completion": "発行完了", "returned": "差戻し", "viewed": "照会", "undeliverable": "不達の連絡"}


def line_of(event: Event) -> str:
    """One line about an event; its name alone where it is of a later release."""
    word = _WORDS.get(type(event))
    return word(event) if word else type(event).__name__


def letter_line(letter: Mapping[str, Any], *, ended: bool) -> str:
    """A letter of the notifier's ledger: as it came, or how it ended."""
    name = f"{_LETTERS.get(letter['letter'].partition('.')[0], '')} {letter['letter']}"
    if not ended and letter["ended_at"] is not None:
        return f"お知らせを台帳に記載 letter noted: {name}"
    state = f"{_STATES.get(letter['state'], '')} {letter['state']}"
    told = (
        f"{letter['attempts']}回試行 attempts",
        f"{letter['deferrals']}回延期 deferrals" if letter["deferrals"] else None,
        f"SMTP {letter['smtp_code']}" if letter["smtp_code"] else None,
        letter["reason"],
    )
    head = "お知らせの結果 letter ended" if ended else "お知らせを台帳に記載 letter noted"
    return f"{head}: {name}; {state}; {', '.join(part for part in told if part)}"


def proposal_line(proposal: Mapping[str, Any]) -> str:
    return f"起案 proposed: {_outcome(proposal['outcome'])}; {proposal['proposer']}"


def rejection_line(proposal: Mapping[str, Any]) -> str:
    return f"起案を却下 proposal rejected: {_outcome(proposal['outcome'])}; {proposal['person']}"


def disclosure_line(disclosure: Mapping[str, Any]) -> str:
    return f"認証キーを表示 key disclosed: {_certificate(disclosure)}; {disclosure['person']}"


def view_line(view: Mapping[str, Any]) -> str:
    words = "照会の記録（イベントなし）view without its event"
    return f"{words}: {_certificate(view)}; {view['purchaser_id']}; {view['person']}"


def opened_line(opened: Mapping[str, Any]) -> str:
    return f"照会中 opened in a browser: {opened['contract_number']}; {opened['person']}"


def printed_line(guarantee: Mapping[str, Any]) -> str:
    return f"証書(紙)を印刷 printed: {_product(guarantee['product'])} {_certificate(guarantee)}"


def kept_line(row: Mapping[str, Any]) -> str:
    """A row of which no event tells, where one should."""
    words = "記録のみ（イベントなし）kept without its event"
    return f"{words}: {_product(row['product'])} {_certificate(row)}" if "contract_number" in row else words


def _submitted(event: ApplicationSubmitted) -> str:
    products = _listed(
        f"{_product(asked.product)}（{_FORMS.get(asked.form, '')} {asked.form}）{asked.amount_yen:,}円"
        for asked in event.products
    )
    replaced = f"; 差替え元 replaces {event.replaces}" if event.replaces else ""
    return (
        f"申込を受付 submitted: {products}; {event.contractor.id} → {event.surety_id}/{event.branch_id}; "
        f"{event.works.purchaser_id}{replaced}"
    )


def _queued(event: ApplicationQueued) -> str:
    return f"審査待ち queued: {_listed(dict.fromkeys(finding.rule for finding in event.findings))}"


def _desk(event: DeskDecisionMade) -> str:
    proposed = f"; 起案 proposed by {event.proposer}" if event.proposer else ""
    return f"担当者が決定 decided at the desk: {_outcome(event.outcome)}; {event.person}{proposed}"


def _decided(event: ApplicationDecided) -> str:
    return f"審査完了 decided by {event.decided_by}: {_listed(map(_product_outcome, event.outcomes))}"


def _product_outcome(told: ProductOutcome) -> str:
    why = f"（{_listed(dict.fromkeys(finding.rule for finding in told.reasons))}）" if told.reasons else ""
    number = f" {told.contract_number}" if told.contract_number else ""
    fee = f" 保証料 fee {told.fee.fee_yen:,}円" if told.fee else ""
    return (
        f"{_product(told.product)}（{_FORMS.get(told.form, '')} {told.form}）{_outcome(told.outcome)}{why}{number}{fee}"
    )


def _issued(event: CertificateIssued) -> str:
    amount = f"{event.content.amount_yen:,}円"
    return f"電子証書を発行 issued: {_product(event.product)} {_certificate(vars(event))}; {amount}"


def _registered(event: CertificateRegistered) -> str:
    leaf = f"; 台帳 leaf {event.leaf_index}" if event.leaf_index is not None else ""
    what = f"{_product(event.product)} {_certificate(vars(event))}"
    return f"電子保証発行日時 registered: {what}; {event.purchaser_id}{leaf}"


def _viewed(event: CertificateViewed) -> str:
    return f"発注者が照会 viewed: {_certificate(vars(event))}; {event.purchaser_id}; account {event.viewed_by}"


def _mail_sent(event: MailSent | ApplicationMailSent) -> str:
    return f"お知らせを送信 mail sent: {_letter(event)}; {event.attempts}回試行 attempts"


def _mail_undeliverable(event: MailUndeliverable | ApplicationMailUndeliverable) -> str:
    code = f" SMTP {event.smtp_code}" if event.smtp_code is not None else ""
    why = f"{event.reason}{code}; {event.attempts}回試行 attempts"
    return f"お知らせを送信できず mail undeliverable: {_letter(event)}; {why}"


def _letter(event: MailSent | MailUndeliverable | ApplicationMailSent | ApplicationMailUndeliverable) -> str:
    number = getattr(event, "contract_number", None)
    return f"{_LETTERS.get(event.letter, '')} {event.letter}{f' {number}' if number else ''}"


def _data_key(event: DataKeyWrapped) -> str:
    readers = _listed(sorted(wrapped.reader for wrapped in event.wrapped_for))
    return f"連絡先の鍵を配布 data key wrapped: {readers}"


def _certificate(row: Mapping[str, Any]) -> str:
    return f"{row['contract_number']} 第{row['version']}版 version {row['version']}"


def _product(code: str) -> str:
    labels = PRODUCTS.get(code)
    return f"{labels.full} {code}" if labels else code


def _outcome(code: str) -> str:
    return f"{_OUTCOMES.get(code, '')} {code}".strip()


def _listed(words: Iterable[str]) -> str:
    return "、".join(words)


_WORDS: Final[Mapping[type[Event], Callable[[Any], str]]] = {
    ApplicationSubmitted: _submitted,
    WithdrawalRequested: lambda _: "取下げを依頼 withdrawal requested",
    MessageToSurety: lambda _: "契約者から保証会社へ連絡 message to surety",
    ApplicationQueued: _queued,
    DeskDecisionMade: _desk,
    ApplicationDecided: _decided,
    ApplicationWithdrawn: lambda _: "取下げ済 withdrawn",
    WithdrawalRefused: lambda event: f"取下げ不可 withdrawal refused: {event.reason}",
    MessageToContractor: lambda _: "保証会社から契約者へお知らせ message to contractor",
    CertificateIssued: _issued,
    CertificateRegistered: _registered,
    CertificateViewed: _viewed,
    MailSent: _mail_sent,
    MailUndeliverable: _mail_undeliverable,
    ApplicationMailSent: _mail_sent,
    ApplicationMailUndeliverable: _mail_undeliverable,
    DataKeyWrapped: _data_key,
}
