"""The form as people type it: every field is text under the path that faults name, and back again.

What cannot be read as an amount or a date is a fault of its own; everything else `domain.check` says.
"""

import re
import unicodedata
from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any, Final
from uuid import UUID

from reference.codes import ADVANCE_PAYMENT, E_NET, ELECTRONIC, PRODUCTS
from reference.model import Surety
from reference.reader import Reference
from schemas.sealed import Contact
from services.intake import domain
from services.intake.domain import Fault
from services.intake.forms import ApplicationForm, ContactForm, ProductForm, ProductsForm, WorksForm

Fields = Mapping[str, str]

_WORKS: Final = ("name", "kind", "purchaser_id", "price_yen", "contract_date", "term_from", "term_to", "jv_name")
_CONTACT: Final = ("department", "title", "person", "telephone")
_OF_EVERY_PRODUCT: Final = ("amount_yen", "fee_payment_method", "fee_bill_to", "fee_statement_on_paper")
_OF_ADVANCE_PAYMENT: Final = ("fiscal_year_amount_yen", "deposit_bank", "redeposit")
_WISHES: Final = ("completion_mail_wanted", "returned_mail_wanted", "viewed_mail_wanted")
#: Set when a returned or withdrawn application is used again; no field of the form.
REPLACES: Final = "replaces"

_YEN: Final = re.compile(r"[0-9]{1,16}")
_DATE: Final = re.compile(r"([0-9]{4})[-/.年]([0-9]{1,2})[-/.月]([0-9]{1,2})日?")


def names_of(surety: Surety) -> tuple[str, ...]:
    """Every field of a surety's form."""
    return (
        *(f"works.{name}" for name in _WORKS),
        *(name for product in PRODUCTS for name in (f"products.{product}", *_names_of_product(product, surety))),
        *information_names(surety),
        *_WISHES[1:],
    )


def product_names(surety: Surety) -> tuple[str, ...]:
    """What 「保証の申込内容をクリア」 clears."""
    return tuple(name for name in names_of(surety) if name.startswith("products."))


def information_names(surety: Surety) -> tuple[str, ...]:
    """What 「インフォメーションをクリア」 clears."""
    own = ("electronic_delivery",) if surety.family == E_NET else ("completion_mail_wanted",)
    return ("branch_id", *own, "mail_address", *(f"contact.{name}" for name in _CONTACT), "message")


def empty(surety: Surety) -> dict[str, str]:
    """A new form: what the leaflets show as chosen is chosen."""
    fields: dict[str, str] = {}
    for product in PRODUCTS:
        path = f"products.{product}"
        if surety.family != E_NET:
            fields[f"{path}.form"] = ELECTRONIC
        fields[f"{path}.fee_payment_method"] = surety.fee_payment_methods[0].code
        fields[f"{path}.fee_statement_on_paper"] = "no"
    if surety.family != E_NET:
        fields["completion_mail_wanted"] = "yes"
    return fields | {"returned_mail_wanted": "no", "viewed_mail_wanted": "no"}


def read(fields: Fields, surety: Surety) -> tuple[ApplicationForm, list[Fault]]:
    """The form, and what could not be read. Fields of a product that is not ticked are left out."""
    reading = _Reading(fields)
    works: dict[str, Any] = {
        "price_yen": reading.yen("works.price_yen"),
        **{name: reading.text(f"works.{name}") for name in ("name", "kind", "purchaser_id", "jv_name")},
        **{name: reading.day(f"works.{name}") for name in ("contract_date", "term_from", "term_to")},
    }
    products = {
        product: _product(reading, product, surety) for product in PRODUCTS if reading.text(f"products.{product}")
    }
    replaces = reading.text(REPLACES)
    form = ApplicationForm(
        surety_id=surety.id,
        branch_id=reading.text("branch_id"),
        works=WorksForm(**works),
        products=ProductsForm(**products),
        electronic_delivery=reading.wish("electronic_delivery") if surety.family == E_NET else None,
        mail_address=reading.text("mail_address"),
        contact=ContactForm(**{name: reading.text(f"contact.{name}") for name in _CONTACT}),
        message=reading.text("message"),
        replaces=UUID(replaces) if replaces else None,
        **{name: reading.wish(name) for name in _WISHES},
    )
    return form, reading.faults


def check(fields: Fields, surety: Surety, reference: Reference) -> list[Fault]:
    """Everything that is wrong with what was typed, in the order of the form; what could not be read is not missing."""
    form, unread = read(fields, surety)
    told = {fault.field for fault in unread}
    faults = [*unread, *(fault for fault in domain.check(form, reference) if fault.field not in told)]
    order = {name: place for place, name in enumerate(names_of(surety))}
    # A fault of all products stands before the first of them.
    first = order[f"products.{ADVANCE_PAYMENT}"]
    return sorted(faults, key=lambda fault: order.get(fault.field, first))


def ratio(fields: Fields, product: str, surety: Surety) -> str:
    """The ratio beside an amount; 0.0 while it cannot be known."""
    form, _ = read({**fields, f"products.{product}": "yes"}, surety)
    applied = form.products.chosen()[product]
    whole = applied.fiscal_year_amount_yen if product == ADVANCE_PAYMENT else None
    if not applied.amount_yen or not (whole or form.works.price_yen):
        return "0.0"
    return domain.ratio_percent(
        product,
        amount_yen=applied.amount_yen,
        price_yen=form.works.price_yen or 0,
        fiscal_year_amount_yen=applied.fiscal_year_amount_yen,
    )


def with_branch(fields: Fields, before: Fields, surety: Surety) -> dict[str, str]:
    """C1 follows the purchaser until somebody chooses another branch."""
    purchaser = fields.get("works.purchaser_id", "")
    suggested = surety.branch_handling(before.get("works.purchaser_id", ""))
    untouched = fields.get("branch_id", "") in ("", suggested.id if suggested else "")
    if purchaser == before.get("works.purchaser_id", "") or not untouched:
        return dict(fields)
    branch = surety.branch_handling(purchaser)
    return {**fields, "branch_id": branch.id if branch else ""}


def fields_of(submitted: Mapping[str, Any], contact: Contact | None, surety: Surety) -> dict[str, str]:
    """What was typed when an application was sent, as far as it is still known; `submitted` is the event as JSON."""
    fields = {f"works.{name}": _typed(submitted["works"][name]) for name in _WORKS}
    fields["branch_id"] = submitted["branch_id"]
    for applied in submitted["products"]:
        path = f"products.{applied['product']}"
        fields[path] = "yes"
        fields |= {f"{path}.{name}": _typed(applied[name]) for name in (*_OF_EVERY_PRODUCT, *_OF_ADVANCE_PAYMENT)}
        if surety.family == E_NET:
            fields["electronic_delivery"] = "yes" if applied["form"] == ELECTRONIC else "no"
        else:
            fields[f"{path}.form"] = applied["form"]
    fields |= {name: _typed(submitted[name]) for name in _WISHES}
    if contact is not None:
        fields["mail_address"] = contact.mail_address or ""
        fields["message"] = contact.message or ""
        fields |= {f"contact.{name}": getattr(contact, name) or "" for name in _CONTACT}
    return {name: text for name, text in fields.items() if text}


def yen_of(text: str) -> int | None:
    """An amount, however its digits are written: 20,000,000 or ２０，０００，０００円."""
    plain = re.sub(r"[\s,、円¥]", "", unicodedata.normalize("NFKC", text))
    return int(plain) if _YEN.fullmatch(plain) else None


def day_of(text: str) -> date | None:
    found = _DATE.fullmatch(unicodedata.normalize("NFKC", text))
    try:
        return date(*(int(part) for part in found.groups())) if found else None
    except ValueError:
        return None


class _Reading:
    """One pass over the fields."""

    def __init__(self, fields: Fields) -> None:
        self.fields = fields
        self.faults: list[Fault] = []

    def text(self, name: str) -> str | None:
        return self.fields.get(name, "").replace("\r\n", "\n").strip() or None

    def wish(self, name: str) -> bool | None:
        return {"yes": True, "no": False}.get(self.fields.get(name, ""))

    def yen(self, name: str) -> int | None:
        text = self.text(name)
        amount = yen_of(text) if text else None
        if text and amount is None:
            self.faults.append(Fault(name, "amount", "金額は数字で入力してください。", "Give the amount in digits."))
        return amount

    def day(self, name: str) -> date | None:
        text = self.text(name)
        day = day_of(text) if text else None
        if text and day is None:
            self.faults.append(
                Fault(name, "date", "日付は2026/04/01のように入力してください。", "Give the date as in 2026/04/01.")
            )
        return day


def _names_of_product(product: str, surety: Surety) -> Iterator[str]:
    names = _OF_EVERY_PRODUCT if surety.family == E_NET else ("form", *_OF_EVERY_PRODUCT)
    for name in (*names, *(_OF_ADVANCE_PAYMENT if product == ADVANCE_PAYMENT else ())):
        yield f"products.{product}.{name}"


def _product(reading: _Reading, product: str, surety: Surety) -> ProductForm:
    path = f"products.{product}"
    own: dict[str, Any] = {}
    if product == ADVANCE_PAYMENT:
        own = {
            "fiscal_year_amount_yen": reading.yen(f"{path}.fiscal_year_amount_yen"),
            "deposit_bank": reading.text(f"{path}.deposit_bank"),
            "redeposit": reading.wish(f"{path}.redeposit"),
        }
    return ProductForm(
        form=None if surety.family == E_NET else reading.text(f"{path}.form"),
        amount_yen=reading.yen(f"{path}.amount_yen"),
        fee_payment_method=reading.text(f"{path}.fee_payment_method"),
        fee_bill_to=reading.text(f"{path}.fee_bill_to"),
        fee_statement_on_paper=reading.wish(f"{path}.fee_statement_on_paper"),
        **own,
    )


def _typed(value: object) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case int():
            return f"{value:,}"
        case _:
            return str(value)
