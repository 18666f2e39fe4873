"""保証料計算書: how the fee of one guarantee comes about (FEE-1, FEE-4). Sums are given, never calculated here."""

from dataclasses import asdict, dataclass
from datetime import date, datetime, time
from typing import Final

from documents.era import JST, wareki
from documents.money import yen
from documents.rendering import draw

TITLE: Final = "保証料計算書"
ILLUSTRATIVE: Final = "保証料率は例示であり、実在する保証会社の料率ではありません。"


@dataclass(frozen=True)
class FeeLine:
    """One step of the calculation."""

    label: str
    base_yen: int
    #: As it is printed, without the sign: `0.35`.
    rate_percent: str
    fee_yen: int


@dataclass(frozen=True)
class FeeStatement:
    """A fee, line by line, and who pays it how."""

    surety_name: str
    surety_address: str
    contractor_name: str
    works_name: str
    beneficiary: str
    contract_number: str
    product_name: str
    amount_yen: int
    lines: tuple[FeeLine, ...]
    #: The whole fee.
    fee_yen: int
    payment_method: str
    bill_to: str
    decided_on: date
    specimen: bool
    note: str = ILLUSTRATIVE


def fee_statement_pdf(statement: FeeStatement) -> bytes:
    """The statement on one A4 page, dated the day of the decision. Same statement, same bytes.

    Raises `CharacterNotPrintable` and `DoesNotFitOnePage`.
    """
    values = {
        **asdict(statement),
        "heading": TITLE,
        "dated": wareki(statement.decided_on),
        "decided_on": statement.decided_on.isoformat(),
        "total": yen(statement.fee_yen),
        "rows": (
            {"label": "保証契約番号", "lines": (statement.contract_number,)},
            {"label": "商品（保証区分）", "lines": (statement.product_name,)},
            {"label": "発注者名", "lines": (statement.beneficiary,)},
            {"label": "工事名", "lines": (statement.works_name,)},
            {"label": "保証金額（総額）", "lines": (yen(statement.amount_yen),)},
            {"label": "保証料支払方法", "lines": (statement.payment_method,)},
            {"label": "保証料請求先", "lines": (statement.bill_to,)},
        ),
        "lines": tuple(
            (line.label, yen(line.base_yen), f"{line.rate_percent}%", yen(line.fee_yen)) for line in statement.lines
        ),
    }
    return draw(
        "fee_statement",
        values,
        title=f"{TITLE} {statement.contract_number}",
        author=statement.surety_name,
        specimen=statement.specimen,
        at=datetime.combine(statement.decided_on, time(), JST),
    )


def fee_statement_file_name(statement: FeeStatement) -> str:
    """保証料計算書_31073-00001X.pdf."""
    return f"{TITLE}_{statement.contract_number}.pdf"
