"""What may be applied for, and how an application stands. Pure; ids of rules are those of docs/domain.md."""

import hashlib
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from typing import Final, NamedTuple

from email_validator import EmailNotValidError, validate_email

from documents.rendering import unprintable
from reference.codes import (
    ADVANCE_PAYMENT,
    ALWAYS,
    E_NET,
    ELECTRONIC,
    FORMS,
    INTERIM_PAYMENT,
    PAPER,
    PERFORMANCE,
    WORKS_KINDS,
)
from reference.errors import UnknownBranch
from reference.model import Purchaser, Surety
from reference.reader import Reference
from schemas.applications import Works
from services.intake.forms import ApplicationForm, ProductForm, WorksForm

LINE_LENGTH: Final = 200
MESSAGE_LENGTH: Final = 2000
TELEPHONE_LENGTH: Final = 30
YEN_LIMIT: Final = 10**13
#: 平成元年1月8日. Certificates name days by their era (CERT-7); a year before this was mistyped.
EARLIEST_DAY: Final = date(1989, 1, 8)
#: What an event can carry.
RATIO_LIMIT: Final = Decimal("9999999.9")
REQUIRED_JA: Final = "必須項目です。"


class _Rules(NamedTuple):
    """Ids of the fields of one product."""

    form: str
    amount: str
    method: str
    bill_to: str
    statement: str


_RULES: Final[Mapping[str, _Rules]] = {
    ADVANCE_PAYMENT: _Rules("A1", "A3", "A6", "A7", "A8"),
    INTERIM_PAYMENT: _Rules("I1", "I3", "I6", "I7", "I8"),
    PERFORMANCE: _Rules("B1", "B2", "B3", "B4", "B5"),
}


@dataclass(frozen=True)
class Fault:
    """One field that cannot stay as it is."""

    field: str
    rule: str
    message_ja: str
    message_en: str


def check(form: ApplicationForm, reference: Reference) -> list[Fault]:
    """Everything that is wrong with an application, so that it can be mended in one go."""
    surety = reference.sureties.get(form.surety_id or "")
    purchaser = reference.purchasers.get(form.works.purchaser_id or "")
    faults = [
        *_check_destination(form, surety),
        *_check_works(form.works, purchaser),
        *_check_delivery(form, surety),
        *_check_contact(form),
    ]
    chosen = form.products.chosen()
    if not chosen:
        faults.append(
            Fault("products", "FORM-1", "商品を一つ以上お申し込みください。", "Apply for at least one product.")
        )
    for product, product_form in chosen.items():
        faults.extend(_check_product(product, product_form, surety))
        faults.extend(_check_ratio(product, product_form, form.works.price_yen))
    if surety is not None and purchaser is not None:
        faults.extend(_check_eligibility(form, surety, purchaser))
    return faults


def form_of(form: ApplicationForm, product_form: ProductForm, surety: Surety) -> str | None:
    """`electronic` or `paper`: by product at Net Desk (MIX-2), one choice for all at e-Net."""
    if surety.family != E_NET:
        return product_form.form
    if form.electronic_delivery is None:
        return None
    return ELECTRONIC if form.electronic_delivery else PAPER


def completion_mail_wanted(form: ApplicationForm, surety: Surety) -> bool:
    """MAIL-1, MAIL-2: the applicant's wish where the profile leaves one."""
    return surety.completion_mail == ALWAYS or form.completion_mail_wanted is True


def check_message(path: str, rule: str, text: str) -> list[Fault]:
    """What is wrong with a text of several lines."""
    faults = list(_printable(path, rule, text, allowed="\r\n\t"))
    if len(text) > MESSAGE_LENGTH:
        limit = MESSAGE_LENGTH
        faults.append(Fault(path, rule, f"{limit}文字以内で入力してください。", f"At most {limit} characters."))
    return faults


def ratio_percent(product: str, *, amount_yen: int, price_yen: int, fiscal_year_amount_yen: int | None) -> str:
    """The ratio shown beside an amount: HALF_UP to one decimal.

    Of 今年度対象額 if given for an advance payment, else of 請負金額.
    """
    whole = fiscal_year_amount_yen if product == ADVANCE_PAYMENT and fiscal_year_amount_yen else price_yen
    return str((Decimal(amount_yen) * 100 / Decimal(whole)).quantize(Decimal("0.1"), ROUND_HALF_UP))


def not_full_width(text: str) -> str | None:
    """The first character that is not 全角 (East Asian width Na or H), if any."""
    return next((char for char in text if unicodedata.east_asian_width(char) in ("Na", "H")), None)


def works_key(contractor_id: str, works: WorksForm | Works) -> bytes:
    """Tells one contractor's works from every other, for APP-4. Width and spaces in the name make no difference."""
    name = "".join(unicodedata.normalize("NFKC", works.name or "").split())
    parts = (contractor_id, works.purchaser_id or "", str(works.contract_date), name)
    return hashlib.sha256("\x1f".join(parts).encode()).digest()


def status_of(*, queued: bool, decided: bool, withdrawal: str | None, withdrawal_requested: bool) -> str:
    """Where an application stands, from whichever facts have arrived."""
    if withdrawal == "withdrawn":
        return "withdrawn"
    if decided:
        return "decided"
    if withdrawal_requested and withdrawal is None:
        return "withdrawal_requested"
    return "queued" if queued else "submitted"


def product_status_of(application_status: str, *, form: str, outcome: str | None, registered: bool) -> str:
    """Where one product stands. Until the certificate has arrived at the registry it is 発行手続中 (APP-5)."""
    match outcome:
        case "returned":
            return "returned"
        case "accepted" if form == PAPER:
            return "issued_on_paper"
        case "accepted":
            return "issued" if registered else "issuing"
        case _:
            return "issued" if registered else application_status


#: 手続状況, as contractors read it.
STATUS_JA: Final[Mapping[str, str]] = {
    "submitted": "受付済",
    "queued": "審査中",
    "withdrawal_requested": "取下げ依頼中",
    "withdrawn": "取下げ済",
    "decided": "審査完了",
    "returned": "差戻し",
    "issuing": "発行手続中",
    "issued": "発行済",
    "issued_on_paper": "発行済(紙)",
}


def _required(path: str, rule: str, value: object) -> Iterator[Fault]:
    if value is None or (isinstance(value, str) and not value.strip()):
        yield Fault(path, rule, REQUIRED_JA, "This field is required.")


def _line(
    path: str, rule: str, value: str | None, *, required: bool = False, limit: int = LINE_LENGTH
) -> Iterator[Fault]:
    """One line of text: not too long, and nothing in it that cannot be printed."""
    if required:
        yield from _required(path, rule, value)
    if value is None:
        return
    if len(value) > limit:
        yield Fault(path, rule, f"{limit}文字以内で入力してください。", f"At most {limit} characters.")
    faults = list(_printable(path, rule, value))
    yield from faults
    char = None if faults else unprintable(value)
    if char is not None:
        yield Fault(
            path,
            rule,
            f"証書に印刷できない文字「{char}」が含まれています。",
            f"Contains {char!r}, which no document can print.",
        )


def _printable(path: str, rule: str, value: str, *, allowed: str = "") -> Iterator[Fault]:
    for char in value:
        # C*: control and format characters, private use (外字), unassigned
        if unicodedata.category(char).startswith("C") and char not in allowed:
            code = f"U+{ord(char):04X}"
            yield Fault(
                path, rule, f"使用できない文字({code})が含まれています。", f"Contains {code}, which cannot be printed."
            )
            return


def _yen(path: str, rule: str, value: int | None, *, required: bool = True) -> Iterator[Fault]:
    if value is None:
        if required:
            yield from _required(path, rule, value)
    elif not 0 < value <= YEN_LIMIT:
        message = "1円以上の金額を入力してください。" if value <= 0 else "10兆円以下の金額を入力してください。"
        yield Fault(path, rule, message, f"An amount from 1 to {YEN_LIMIT:,} yen.")


def _day(path: str, value: date | None) -> Iterator[Fault]:
    if value is None:
        yield from _required(path, "FORM-9", value)
    elif value < EARLIEST_DAY:
        earliest = f"{EARLIEST_DAY.year}年{EARLIEST_DAY.month}月{EARLIEST_DAY.day}日"
        yield Fault(path, "FORM-9", f"{earliest}以降の日付を入力してください。", f"A day from {EARLIEST_DAY} on.")


def _one_of(path: str, rule: str, value: str | None, known: Iterable[str]) -> Iterator[Fault]:
    if value is None:
        yield from _required(path, rule, value)
    elif value not in known:
        yield Fault(path, rule, "選択肢にありません。", f"Not one of: {', '.join(known)}.")


def _check_destination(form: ApplicationForm, surety: Surety | None) -> Iterator[Fault]:
    yield from _required("surety_id", "C1", form.surety_id)
    if form.surety_id and surety is None:
        yield Fault("surety_id", "C1", "保証会社が見つかりません。", "There is no such surety.")
    yield from _required("branch_id", "C1", form.branch_id)
    if surety is not None and form.branch_id:
        try:
            surety.branch(form.branch_id)
        except UnknownBranch:
            yield Fault("branch_id", "C1", "申込送信先が見つかりません。", "The surety has no such branch.")


def _check_works(works: WorksForm, purchaser: Purchaser | None) -> Iterator[Fault]:
    yield from _line("works.name", "FORM-9", works.name, required=True)
    yield from _one_of("works.kind", "FORM-9", works.kind, WORKS_KINDS)
    yield from _required("works.purchaser_id", "FORM-9", works.purchaser_id)
    if works.purchaser_id and purchaser is None:
        yield Fault("works.purchaser_id", "FORM-9", "発注者が見つかりません。", "There is no such purchaser.")
    yield from _yen("works.price_yen", "FORM-9", works.price_yen)
    yield from _day("works.contract_date", works.contract_date)
    yield from _day("works.term_from", works.term_from)
    yield from _day("works.term_to", works.term_to)
    if works.term_from and works.term_to and works.term_to < works.term_from:
        yield Fault("works.term_to", "FORM-9", "工期の終わりが始まりより前です。", "The term ends before it begins.")
    yield from _line("works.jv_name", "FORM-9", works.jv_name)


def _check_product(product: str, form: ProductForm, surety: Surety | None) -> Iterator[Fault]:
    path = f"products.{product}"
    rules = _RULES[product]
    yield from _yen(f"{path}.amount_yen", rules.amount, form.amount_yen)
    methods = [method.code for method in surety.fee_payment_methods] if surety else None
    if methods is not None:
        yield from _one_of(f"{path}.fee_payment_method", rules.method, form.fee_payment_method, methods)
    else:
        yield from _required(f"{path}.fee_payment_method", rules.method, form.fee_payment_method)
    yield from _line(f"{path}.fee_bill_to", rules.bill_to, form.fee_bill_to, required=True)
    yield from _required(f"{path}.fee_statement_on_paper", rules.statement, form.fee_statement_on_paper)
    if product == ADVANCE_PAYMENT:
        yield from _yen(f"{path}.fiscal_year_amount_yen", "A2", form.fiscal_year_amount_yen, required=False)
        yield from _check_bank(f"{path}.deposit_bank", form.deposit_bank)
        yield from _required(f"{path}.redeposit", "A5", form.redeposit)
        return
    for name in ("fiscal_year_amount_yen", "deposit_bank", "redeposit"):
        if getattr(form, name) is not None:
            yield Fault(f"{path}.{name}", "FORM-2", "前払金保証だけの項目です。", "Only for an advance payment.")


def _check_ratio(product: str, form: ProductForm, price_yen: int | None) -> Iterator[Fault]:
    fiscal_year_amount_yen = form.fiscal_year_amount_yen
    if fiscal_year_amount_yen is not None and price_yen and fiscal_year_amount_yen > price_yen:
        # The ratio is of it, and what it is part of would not limit it.
        yield Fault(
            f"products.{product}.fiscal_year_amount_yen",
            "A2",
            "今年度対象額が請負金額を超えています。",
            "This year's amount is more than the price.",
        )
        return
    amounts = [form.amount_yen or 0, price_yen or 0]
    if min(*amounts, 1 if fiscal_year_amount_yen is None else fiscal_year_amount_yen) <= 0:
        return
    shown = ratio_percent(
        product, amount_yen=amounts[0], price_yen=amounts[1], fiscal_year_amount_yen=fiscal_year_amount_yen
    )
    if Decimal(shown) > RATIO_LIMIT:
        yield Fault(
            f"products.{product}.amount_yen",
            _RULES[product].amount,
            "請負金額に対して保証金額が大きすぎます。",
            f"The amount is more than {RATIO_LIMIT} % of the price.",
        )


def _check_bank(path: str, bank: str | None) -> Iterator[Fault]:
    yield from _line(path, "A4", bank, required=True)
    narrow = not_full_width(bank or "")
    if narrow is not None:
        shown = "半角スペース" if narrow == " " else f"「{narrow}」"
        yield Fault(
            path, "FORM-6", f"全角で入力してください({shown}が半角です)。", f"Full width only: {narrow!r} is not."
        )


def _check_delivery(form: ApplicationForm, surety: Surety | None) -> Iterator[Fault]:
    yield from _required("mail_address", "C3", form.mail_address)
    if form.mail_address:
        try:
            validate_email(form.mail_address, check_deliverability=False, allow_smtputf8=False)
        except EmailNotValidError:
            yield Fault("mail_address", "C3", "メールアドレスの形式が正しくありません。", "Not a mail address.")
    if surety is None:
        return
    one_choice = surety.family == E_NET
    if one_choice:
        yield from _required("electronic_delivery", "FORM-13", form.electronic_delivery)
        if form.completion_mail_wanted is False:
            yield Fault(
                "completion_mail_wanted", "MAIL-2", "お知らせは必ず送信されます。", "This surety always tells by mail."
            )
    elif form.electronic_delivery is not None:
        yield Fault(
            "electronic_delivery", "A1", "商品ごとに証書の形式を選択してください。", "Choose the form for each product."
        )
    for product, product_form in form.products.chosen().items():
        path, rule = f"products.{product}.form", _RULES[product].form
        if not one_choice:
            yield from _one_of(path, rule, product_form.form, FORMS)
        elif product_form.form is not None:
            yield Fault(path, "FORM-13", "受取方法は一括で選択してください。", "Chosen once, for all products.")


def _check_contact(form: ApplicationForm) -> Iterator[Fault]:
    yield from _line("contact.department", "D", form.contact.department)
    yield from _line("contact.title", "D", form.contact.title)
    yield from _line("contact.person", "D", form.contact.person)
    yield from _line("contact.telephone", "D", form.contact.telephone, limit=TELEPHONE_LENGTH)
    if form.message is not None:
        yield from check_message("message", "E", form.message)


def _check_eligibility(form: ApplicationForm, surety: Surety, purchaser: Purchaser) -> Iterator[Fault]:
    """EL-2…EL-7, for electronic certificates only: paper stays possible (EL-8)."""
    works = form.works
    if works.kind is None or works.kind not in WORKS_KINDS or works.contract_date is None:
        return
    fields = {"works_kind": "works.kind", "contract_date": "works.contract_date"}
    for product, product_form in form.products.chosen().items():
        if form_of(form, product_form, surety) != ELECTRONIC:
            continue
        refusal = purchaser.electronic_refusal(
            works_kind=works.kind, product=product, contract_date=works.contract_date
        )
        if refusal is not None:
            path = fields.get(refusal.field, f"products.{product}.form")
            yield Fault(path, refusal.rule_id, refusal.message_ja, refusal.message_en)
