"""How are amounts, days, times and codes written on the desk's pages and on what is printed there?

Days and amounts read as in `documents`, which the issuer's image does not hold; a test keeps them alike.
"""

from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Any, Final

from chassis.clock import JST
from chassis.web.wording import noted
from reference.codes import FORMS, PRODUCTS, WORKS_KINDS, Labels

#: What a rule found, in a few words; the finding itself says the rest.
RULES: Final[Mapping[str, str]] = {
    "LIM-1": noted("割合の超過"),
    "LIM-2": noted("保証金額の超過"),
    "LIM-3": noted("保証残高の超過"),
    "NUM-5": noted("番号の不足"),
}
#: 元号 with its first day, the latest first.
_ERAS: Final = (("令和", date(2019, 5, 1)), ("平成", date(1989, 1, 8)), ("昭和", date(1926, 12, 25)))


def yen(amount: int) -> str:
    """20,000,000円, as in lists."""
    return f"{amount:,}円"


def yen_spaced(amount: int) -> str:
    """20,000,000 円, as in details and on certificates."""
    return f"{amount:,} 円"


def era(day: date) -> str:
    """令和08年04月01日, as on certificates (CERT-7). A day before 昭和 is a ValueError."""
    for name, first_day in _ERAS:
        if day >= first_day:
            year = day.year - first_day.year + 1
            return f"{name}{f'{year:02}' if year > 1 else '元'}年{day.month:02}月{day.day:02}日"
    raise ValueError(f"{day.isoformat()} lies before 昭和")


def hour(at: datetime) -> str:
    return at.astimezone(JST).strftime("%H:%M")


def product_name(code: str, language: str) -> str:
    """A product in the page's language; a new code as it is."""
    labels = PRODUCTS.get(code)
    return _capital(labels.full if language == "ja" else labels.english) if labels else code


def product_listed(code: str, language: str) -> str:
    """The same in short, for lists."""
    labels = PRODUCTS.get(code)
    return (
        _capital(labels.listed if language == "ja" else labels.english.removesuffix(" guarantee")) if labels else code
    )


def form_name(code: str, language: str) -> str:
    return _of(FORMS, code, language)


def works_kind(code: str, language: str) -> str:
    return _of(WORKS_KINDS, code, language)


FILTERS: Final[Mapping[str, Callable[..., Any]]] = {
    "yen": yen,
    "yen_spaced": yen_spaced,
    "era": era,
    "hour": hour,
    "product_name": product_name,
    "product_listed": product_listed,
    "form_name": form_name,
    "works_kind": works_kind,
    "rule_name": lambda rule: RULES.get(rule, ""),
}


def _of(codes: Mapping[str, Labels], code: str, language: str) -> str:
    labels = codes.get(code)
    return _capital(labels.japanese if language == "ja" else labels.english) if labels else code


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
