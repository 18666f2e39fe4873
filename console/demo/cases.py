"""What the demo applies for, and what must come of it. Names are made up; titles of offices are the leaflets'."""

from dataclasses import dataclass, field
from typing import Any, Final

_FEE: Final = {"fee_payment_method": "lump_sum", "fee_statement_on_paper": False}
_ISSUED: Final = "issued"


@dataclass(frozen=True)
class Company:
    """A contractor (受注者) of the demo."""

    name: str
    address: str
    representative: str
    person: str


@dataclass(frozen=True)
class Case:
    """One application, and what a faithful system makes of it."""

    title: str
    company: Company
    purchaser_id: str
    form: dict[str, Any]
    #: Product → status in the end; empty when intake must refuse the application.
    ends: dict[str, str]
    #: Field and rule that the refusal must name.
    refused: tuple[str, str] | None = None
    #: What the desk does: path of the call and message.
    desk: tuple[str, str] | None = None
    #: The rule that must have sent it to the desk.
    finding: str | None = None
    mail: bool = True

    @property
    def surety_id(self) -> str:
        return str(self.form["surety_id"])


def _bill(company: Company) -> dict[str, Any]:
    return {**_FEE, "fee_bill_to": company.name}


def _advance(company: Company, amount_yen: int, **more: Any) -> dict[str, Any]:
    return {
        **_bill(company),
        "amount_yen": amount_yen,
        "deposit_bank": "見本銀行　県庁前支店",
        "redeposit": False,
        **more,
    }


@dataclass(frozen=True)
class _Works:
    name: str
    purchaser_id: str
    price_yen: int
    contract_date: str = "2026-10-01"
    kind: str = "construction"
    jv_name: str | None = None
    term: tuple[str, str] = field(default=("2026-10-05", "2027-03-19"))

    def form(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "kind": self.kind,
            "purchaser_id": self.purchaser_id,
            "price_yen": self.price_yen,
            "contract_date": self.contract_date,
            "term_from": self.term[0],
            "term_to": self.term[1],
            "jv_name": self.jv_name,
        }


def _case(  # noqa: PLR0917 - one row of a table
    title: str,
    company: Company,
    works: _Works,
    destination: tuple[str, str],
    products: dict[str, Any],
    ends: dict[str, str],
    *,
    extra: dict[str, Any] | None = None,
    **more: Any,
) -> Case:
    form = {
        "surety_id": destination[0],
        "branch_id": destination[1],
        "works": works.form(),
        "products": products,
        "mail_address": "keiri@kensetsu.example",
        "contact": {"department": "工務部", "person": company.person, "telephone": "000-000-0000"},
        **(extra or {}),
    }
    return Case(title, company, works.purchaser_id, form, ends, **more)


_NIKKO = Company("株式会社見本日光建設", "栃木県見本市見本町1-2-3", "代表取締役　髙﨑 一郎", "𠮷田 花子")
_RYUKYU = Company("見本琉球土木株式会社", "沖縄県見本村字見本4-5", "代表取締役　比嘉 見本", "見本 太郎")
_HITACHI = Company("見本常陸工業株式会社", "茨城県見本市見本6-7", "代表取締役　見本 次郎", "見本 さくら")
_NAMBU = Company("見本南部組株式会社", "青森県見本町見本8-9", "代表取締役　見本 三郎", "見本 桃子")

_TOCHIGI: Final = ("toto", "tochigi")
_OKINAWA: Final = ("nankai", "okinawa")
_WANTED: Final = {"completion_mail_wanted": True}
_ELECTRONIC: Final = {"form": "electronic"}

CASES: Final[tuple[Case, ...]] = (
    _case(
        "栃木県: 前払金保証と契約保証、ともに電子",
        _NIKKO,
        _Works("県道見本線道路改良工事", "tochigi", 50_000_000),
        _TOCHIGI,
        {
            "advance_payment": _advance(_NIKKO, 20_000_000, **_ELECTRONIC),
            "performance": {**_bill(_NIKKO), **_ELECTRONIC, "amount_yen": 5_000_000},
        },
        {"advance_payment": _ISSUED, "performance": _ISSUED},
        extra=_WANTED,
    ),
    _case(
        "読谷村: 三商品を一括で電子交付 (e-Net)",
        _RYUKYU,
        _Works("村道見本線舗装工事", "yomitan", 30_000_000, "2026-04-01", term=("2026-04-06", "2026-12-25")),
        _OKINAWA,
        {
            "advance_payment": _advance(_RYUKYU, 12_000_000),
            "interim_payment": {**_bill(_RYUKYU), "amount_yen": 6_000_000},
            "performance": {**_bill(_RYUKYU), "amount_yen": 3_000_000},
        },
        {"advance_payment": _ISSUED, "interim_payment": _ISSUED, "performance": _ISSUED},
        extra={"electronic_delivery": True},
    ),
    _case(
        "小美玉市: 前払金保証は電子、契約保証は紙、お知らせは希望しない",
        _HITACHI,
        _Works("見本小学校改修設計業務", "omitama", 10_000_000, kind="consignment"),
        ("toto", "ibaraki"),
        {
            "advance_payment": _advance(_HITACHI, 3_000_000, **_ELECTRONIC),
            "performance": {**_bill(_HITACHI), "form": "paper", "amount_yen": 1_000_000},
        },
        {"advance_payment": _ISSUED, "performance": "issued_on_paper"},
        extra={"completion_mail_wanted": False},
        mail=False,
    ),
    _case(
        "読谷村: 運用開始の前日の契約は電子にできない",
        _RYUKYU,
        _Works("村道見本線側溝工事", "yomitan", 30_000_000, "2026-03-31", term=("2026-04-06", "2026-12-25")),
        _OKINAWA,
        {"performance": {**_bill(_RYUKYU), "amount_yen": 3_000_000}},
        {},
        extra={"electronic_delivery": True},
        refused=("works.contract_date", "EL-7"),
    ),
    _case(
        "足利市: 割合が上限を超え、審査担当者が引き受ける",
        _NIKKO,
        _Works("市立見本図書館新築工事", "ashikaga", 80_000_000),
        _TOCHIGI,
        {"advance_payment": _advance(_NIKKO, 36_000_000, **_ELECTRONIC)},
        {"advance_payment": _ISSUED},
        extra=_WANTED,
        desk=("accept", "出来高を確認のうえ引き受けます。"),
        finding="LIM-1",
    ),
    _case(
        "白子町: 金額が上限を超え、審査担当者が差し戻す",
        _HITACHI,
        _Works("見本海岸護岸工事", "shirako", 1_000_000_000),
        ("toto", "chiba"),
        {"advance_payment": _advance(_HITACHI, 400_000_000, **_ELECTRONIC)},
        {"advance_payment": "returned"},
        extra=_WANTED,
        desk=("return", "決算書の写しをご提出ください。"),
        finding="LIM-2",
        mail=False,
    ),
    _case(
        "南部町: 共同企業体 (JV)",
        _NAMBU,
        _Works("見本橋架替工事", "nambu-aomori", 60_000_000, jv_name="見本南部・見本津軽特定建設工事共同企業体"),
        ("toto", "aomori"),
        {"performance": {**_bill(_NAMBU), **_ELECTRONIC, "amount_yen": 6_000_000}},
        {"performance": _ISSUED},
        extra=_WANTED,
    ),
)
