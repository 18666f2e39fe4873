"""applications.v1, published by intake: what contractors ask for."""

from datetime import date
from uuid import UUID

from schemas.event import AwareDatetime, Code, Document, Event, Line, Percent, Yen
from schemas.sealed import SealedContact, SealedText


class Contractor(Document):
    """受注者・保証契約者, as registered when the application was sent."""

    id: Code
    name: Line
    address: Line
    representative: Line


class Works(Document):
    """工事・業務委託: what the guarantee is about, and for whom."""

    name: Line
    #: `construction` 工事 or `consignment` 業務委託
    kind: Code
    purchaser_id: Code
    #: 請負金額
    price_yen: Yen
    #: 請負契約日
    contract_date: date
    #: 工期
    term_from: date
    term_to: date
    #: JV名, only for a joint venture; the contractor is then its representative.
    jv_name: Line | None = None


class ProductApplied(Document):
    """One product (商品・保証区分) of an application, with the form of its certificate (MIX-2)."""

    #: `advance_payment`, `interim_payment` or `performance`
    product: Code
    #: `electronic` or `paper`
    form: Code
    amount_yen: Yen
    #: A3/B2, HALF_UP to one decimal
    ratio_percent: Percent
    #: A2 今年度対象額, advance payment only
    fiscal_year_amount_yen: Yen | None = None
    #: A4 預託金融機関, advance payment only
    deposit_bank: Line | None = None
    #: A5 再預託利用区分, advance payment only
    redeposit: bool | None = None
    fee_payment_method: Code
    fee_bill_to: Line
    #: A8/B5 保証料計算書(紙)
    fee_statement_on_paper: bool


class ApplicationSubmitted(Event):
    """A contractor asked for guarantees. Resolved: holds all that the issuer and the notifier need."""

    key_field = "application_id"
    identity_fields = ("application_id",)
    time_field = "submitted_at"

    application_id: UUID
    #: The returned application that this one replaces.
    replaces: UUID | None = None
    submitted_at: AwareDatetime
    #: The account that sent it.
    submitted_by: UUID
    surety_id: Code
    branch_id: Code
    reference_version: Code
    contractor: Contractor
    works: Works
    products: tuple[ProductApplied, ...]
    #: C2 電子保証発行完了のお知らせ, or the profile's rule where it leaves no choice (MAIL-1, MAIL-2): as it was then
    completion_mail_wanted: bool
    contact: SealedContact
    #: Whether the contractor wants to be told by mail of a returned application, and of the purchaser's first view.
    returned_mail_wanted: bool = False
    viewed_mail_wanted: bool = False


class WithdrawalRequested(Event):
    """The contractor asked to take the application back; the issuer says whether it still can."""

    key_field = "application_id"
    identity_fields = ("application_id",)
    time_field = "requested_at"

    application_id: UUID
    requested_at: AwareDatetime
    requested_by: UUID


class MessageToSurety(Event):
    """The contractor wrote to the surety about an application (お客様から弊社への連絡事項), after it was sent."""

    key_field = "application_id"
    identity_fields = ("message_id",)
    time_field = "sent_at"

    message_id: UUID
    application_id: UUID
    sent_at: AwareDatetime
    sent_by: UUID
    text: SealedText
