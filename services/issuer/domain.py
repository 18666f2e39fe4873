"""May this be guaranteed, and may this be written? Pure: the same question has the same answer in a replay."""

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import Enum
from types import MappingProxyType
from typing import Final

from reference.model import Limits, Purchaser

#: Goes into every decision; raise it when an answer can change.
RULES_VERSION: Final = "2026.1"

ELECTRONIC: Final = "electronic"

#: What the credit check is called among the facts from outside, and its answers (LIM-4).
CREDIT: Final = "credit"
CLEAR: Final = "clear"
REFER: Final = "refer"
UNAVAILABLE: Final = "unavailable"


@dataclass(frozen=True)
class Request:
    """One product asked for."""

    product: str
    form: str
    amount_yen: int
    ratio_percent: Decimal


@dataclass(frozen=True)
class Finding:
    """What a rule says about a product, or about the whole application when `product` is None."""

    rule: str
    product: str | None
    message_ja: str
    message_en: str


class Verdict(Enum):
    DECIDED = "decided"
    QUEUED = "queued"


@dataclass(frozen=True)
class Assessment:
    """What the rules make of an application. It waits as a whole when one product needs a person (DEC-3)."""

    verdict: Verdict
    #: Products that break a hard rule, with why. No person can accept those.
    returned: Mapping[str, tuple[Finding, ...]]
    #: What a person should look at.
    findings: tuple[Finding, ...]
    #: Sum of the products that can be accepted.
    amount_yen: int


def assess(
    requests: Sequence[Request],
    *,
    works_kind: str,
    contract_date: date,
    purchaser: Purchaser,
    limits: Limits,
    exposure_yen: int,
    answers: Mapping[str, str] = MappingProxyType({}),
) -> Assessment:
    """Apply the hard rules, then the limits.

    `exposure_yen` is what the contractor's guarantees add up to so far, `answers` what others said, by whom was asked.
    """
    returned = dict(_returned(requests, works_kind, contract_date, purchaser))
    open_requests = [request for request in requests if request.product not in returned]
    amount_yen = sum(request.amount_yen for request in open_requests)
    findings = tuple(_beyond_limits(open_requests, limits, exposure_yen + amount_yen))
    if open_requests:
        findings += tuple(_not_cleared(answers))
    return Assessment(
        verdict=Verdict.QUEUED if findings else Verdict.DECIDED,
        returned=returned,
        findings=findings,
        amount_yen=amount_yen,
    )


def _returned(
    requests: Sequence[Request], works_kind: str, contract_date: date, purchaser: Purchaser
) -> Iterable[tuple[str, tuple[Finding, ...]]]:
    for request in requests:
        if request.form != ELECTRONIC:
            continue
        refusal = purchaser.electronic_refusal(
            works_kind=works_kind, product=request.product, contract_date=contract_date
        )
        if refusal is not None:
            finding = Finding(refusal.rule_id, request.product, refusal.message_ja, refusal.message_en)
            yield request.product, (finding,)


def _beyond_limits(requests: Sequence[Request], limits: Limits, exposure_yen: int) -> Iterable[Finding]:
    for request in requests:
        cap = limits.ratio_percent(request.product)
        if request.ratio_percent > cap:
            yield Finding(
                "LIM-1",
                request.product,
                f"割合が{request.ratio_percent}%で、上限の{cap}%を超えています。",
                f"The ratio is {request.ratio_percent} %, above the limit of {cap} %.",
            )
        if request.amount_yen > limits.amount_yen:
            yield Finding(
                "LIM-2",
                request.product,
                f"保証金額が{request.amount_yen:,}円で、上限の{limits.amount_yen:,}円を超えています。",
                f"The amount is {request.amount_yen:,} yen, above the limit of {limits.amount_yen:,} yen.",
            )
    if requests and exposure_yen > limits.exposure_yen:
        yield Finding(
            "LIM-3",
            None,
            f"契約者の保証残高が{exposure_yen:,}円となり、上限の{limits.exposure_yen:,}円を超えます。",
            f"The contractor's guarantees would add up to {exposure_yen:,} yen, above {limits.exposure_yen:,} yen.",
        )


def _not_cleared(answers: Mapping[str, str]) -> Iterable[Finding]:
    answer = answers.get(CREDIT, CLEAR)
    if answer == REFER:
        yield Finding(
            "LIM-4",
            None,
            "信用照会の結果、担当者による確認が必要です。",
            "The credit check says that a person has to look.",
        )
    elif answer != CLEAR:
        yield Finding(
            "LIM-4",
            None,
            "信用照会の回答が得られませんでした。照会先に確認してください。",
            "The credit check gave no answer: ask it again.",
        )


def typed_lines(text: str) -> str:
    """What a person typed into a box, with one kind of line end and no space around."""
    return text.replace("\r\n", "\n").replace("\r", "\n").strip()


def unprintable(text: str) -> str | None:
    """The first character that cannot be printed (FORM-14), as `U+0000`; line ends and tabs can."""
    for char in text:
        # C*: control and format characters, private use (外字), surrogates, unassigned
        if unicodedata.category(char).startswith("C") and char not in "\n\t":
            return f"U+{ord(char):04X}"
    return None
