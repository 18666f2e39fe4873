"""保証申込: the application as it is typed. Every field may be missing; `domain.check` says which may not.

Plain dataclasses that pydantic fills: shapes and types only. The ids (A1, B2, C3…) are those of docs/domain.md.
"""

from dataclasses import dataclass, field
from datetime import date
from typing import Any, ClassVar
from uuid import UUID

#: What pydantic does with these: unknown fields are refused, "12" is no number, and errors repeat no input.
_SHAPE: dict[str, Any] = {"extra": "forbid", "strict": True, "hide_input_in_errors": True}


@dataclass(frozen=True)
class WorksForm:
    """Tab 請負工事の情報."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _SHAPE

    name: str | None = None
    #: `construction` 工事 or `consignment` 業務委託
    kind: str | None = None
    purchaser_id: str | None = None
    #: 請負金額
    price_yen: int | None = None
    #: 請負契約日
    contract_date: date | None = None
    #: 工期
    term_from: date | None = None
    term_to: date | None = None
    #: JV名
    jv_name: str | None = None


@dataclass(frozen=True)
class ProductForm:
    """Tab 保証の申込内容, one product. A2, A4 and A5 exist for 前払金保証 only."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _SHAPE

    #: A1/B1 `electronic` or `paper`; e-Net asks once for all products instead.
    form: str | None = None
    #: A2 今年度対象額
    fiscal_year_amount_yen: int | None = None
    #: A3/B2 保証金額
    amount_yen: int | None = None
    #: A4 預託金融機関(全角)
    deposit_bank: str | None = None
    #: A5 再預託利用区分
    redeposit: bool | None = None
    #: A6/B3 保証料支払方法
    fee_payment_method: str | None = None
    #: A7/B4 保証料請求先
    fee_bill_to: str | None = None
    #: A8/B5 保証料計算書(紙)について
    fee_statement_on_paper: bool | None = None


@dataclass(frozen=True)
class ProductsForm:
    """Which products are asked for: those that are there."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _SHAPE

    advance_payment: ProductForm | None = None
    interim_payment: ProductForm | None = None
    performance: ProductForm | None = None

    def chosen(self) -> dict[str, ProductForm]:
        """Code → form, in the order of the screen."""
        every = {
            "advance_payment": self.advance_payment,
            "interim_payment": self.interim_payment,
            "performance": self.performance,
        }
        return {product: form for product, form in every.items() if form is not None}


@dataclass(frozen=True)
class ContactForm:
    """D 連絡先, all optional."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _SHAPE

    department: str | None = None
    title: str | None = None
    person: str | None = None
    telephone: str | None = None


@dataclass(frozen=True)
class ApplicationForm:
    """The whole form."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _SHAPE

    surety_id: str | None = None
    #: C1 申込送信先
    branch_id: str | None = None
    works: WorksForm = field(default_factory=WorksForm)
    products: ProductsForm = field(default_factory=ProductsForm)
    #: e-Net only: 電子交付を希望する, for all products
    electronic_delivery: bool | None = None
    #: C2 電子保証発行完了のお知らせ
    completion_mail_wanted: bool | None = None
    #: C3 メールアドレス
    mail_address: str | None = None
    contact: ContactForm = field(default_factory=ContactForm)
    #: Tab その他: to be told by mail when it is returned, and when the purchaser first looks at a certificate.
    returned_mail_wanted: bool | None = None
    viewed_mail_wanted: bool | None = None
    #: E お客様から弊社への連絡事項
    message: str | None = None
    #: A returned or withdrawn application that this one takes the place of.
    replaces: UUID | None = None
