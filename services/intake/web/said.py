"""What an application says, as 申込確認 and its own page show it: sections of labels and texts."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from chassis.web.wording import noted
from reference.codes import ADVANCE_PAYMENT, E_NET, ELECTRONIC, FORMS, PAPER, RECEIPTS, WORKS_KINDS
from reference.errors import UnknownBranch
from reference.model import Surety
from reference.reader import Reference
from services.intake.web import labels, typed
from services.intake.web.labels import LABELS, PRODUCT_WORDS, ProductWords
from services.intake.web.typed import Fields

WANTED: Final = {"yes": noted("希望する"), "no": noted("希望しない")}
REDEPOSIT: Final = {"no": noted("再預託を利用しない"), "yes": noted("再預託を利用する")}


@dataclass(frozen=True)
class Line:
    """A label with what was said; `translated` where the text is one of ours."""

    label: str
    text: str
    note: str = ""
    translated: bool = False
    #: Personal data that was erased since.
    erased: bool = False


@dataclass(frozen=True)
class Section:
    title: str
    lines: tuple[Line, ...]


def sections(fields: Fields, surety: Surety, reference: Reference, *, erased: bool = False) -> list[Section]:
    """Everything that is sent, in the order of the form. `erased` when the contact data was shredded."""
    said = _Said(fields, surety, reference, erased)
    return [
        Section(labels.TABS[labels.WORKS], tuple(said.works())),
        *(
            Section(words.name, tuple(said.product(words)))
            for words in PRODUCT_WORDS
            if fields.get(f"products.{words.code}")
        ),
        Section(noted("申込送信先、保証証書受取"), tuple(said.delivery())),
        Section(noted("連絡先"), tuple(said.private(f"contact.{name}") for name in _CONTACT)),
        Section(LABELS["message"], (said.private("message"),)),
        Section(labels.TABS[labels.OTHERS], tuple(said.wishes())),
    ]


_CONTACT: Final = ("department", "title", "person", "telephone")


@dataclass(frozen=True)
class _Said:
    fields: Fields
    surety: Surety
    reference: Reference
    erased: bool

    def works(self) -> Iterator[Line]:
        kind = WORKS_KINDS.get(self._text("works.kind"))
        purchaser = self.reference.purchasers.get(self._text("works.purchaser_id"))
        yield Line(LABELS["works.name"], self._text("works.name"))
        yield Line(LABELS["works.kind"], kind.japanese if kind else self._text("works.kind"))
        yield Line(LABELS["works.purchaser_id"], purchaser.title if purchaser else self._text("works.purchaser_id"))
        yield Line(LABELS["works.price_yen"], self._yen("works.price_yen"))
        yield Line(LABELS["works.contract_date"], self._day("works.contract_date"))
        yield Line(noted("工期"), f"{self._day('works.term_from')} ～ {self._day('works.term_to')}")
        yield Line(LABELS["works.jv_name"], self._text("works.jv_name"))

    def product(self, words: ProductWords) -> Iterator[Line]:
        path = f"products.{words.code}"
        methods = {method.code: method.label for method in self.surety.fee_payment_methods}
        if self.surety.family != E_NET:
            form = FORMS.get(self._text(f"{path}.form"))
            yield Line(labels.FORM, form.japanese if form else "")
        if words.code == ADVANCE_PAYMENT:
            yield Line(labels.FISCAL_YEAR_AMOUNT, self._yen(f"{path}.fiscal_year_amount_yen"))
        ratio = typed.ratio(self.fields, words.code, self.surety)
        yield Line(words.amount, f"{self._yen(f'{path}.amount_yen')}　{ratio}%", note=words.ratio)
        if words.code == ADVANCE_PAYMENT:
            yield Line(labels.DEPOSIT_BANK, self._text(f"{path}.deposit_bank"))
            yield self._choice(labels.REDEPOSIT, f"{path}.redeposit", REDEPOSIT)
        method = self._text(f"{path}.fee_payment_method")
        yield Line(words.method, methods.get(method, method))
        yield Line(words.bill_to, self._text(f"{path}.fee_bill_to"))
        yield self._choice(labels.STATEMENT, f"{path}.fee_statement_on_paper", WANTED)

    def delivery(self) -> Iterator[Line]:
        branch = self._text("branch_id")
        try:
            yield Line(LABELS["branch_id"], self.surety.branch(branch).name)
        except UnknownBranch:
            yield Line(LABELS["branch_id"], branch)
        if self.surety.family == E_NET:
            receipt = {"yes": RECEIPTS[ELECTRONIC], "no": RECEIPTS[PAPER]}.get(self._text("electronic_delivery"))
            yield Line(LABELS["electronic_delivery"], receipt.japanese if receipt else "")
        else:
            yield self._choice(LABELS["completion_mail_wanted"], "completion_mail_wanted", WANTED)
        yield self.private("mail_address")

    def wishes(self) -> Iterator[Line]:
        for name in ("returned_mail_wanted", "viewed_mail_wanted"):
            yield self._choice(LABELS[name], name, WANTED)

    def private(self, path: str) -> Line:
        return Line(LABELS[path], self._text(path), erased=self.erased)

    def _text(self, path: str) -> str:
        return self.fields.get(path, "").strip()

    def _yen(self, path: str) -> str:
        amount = typed.yen_of(self._text(path))
        return "" if amount is None else f"{amount:,} 円"

    def _day(self, path: str) -> str:
        day = typed.day_of(self._text(path))
        return f"{day:%Y/%m/%d}" if day else ""

    def _choice(self, label: str, path: str, choices: dict[str, str]) -> Line:
        return Line(label, choices.get(self._text(path), ""), translated=True)
