"""What a purchaser and a surety are, and what they answer about a day, a product or a branch."""

from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Annotated, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StringConstraints,
    ValidationInfo,
    field_validator,
    model_validator,
)

from reference import codes
from reference.errors import NoFeeRates, NoNumberingBlocks, NoOfficerOn, UnknownBranch, UnknownProduct
from reference.fees import Fee, FeeTable, check_tables, table_on
from reference.fields import (
    Block,
    Day,
    FiscalYear,
    Id,
    Line,
    MailAddress,
    Percentage,
    Product,
    SubjectLine,
    SubmissionChannel,
    Telephone,
    Text,
    Url,
    Version,
    WorksKind,
    Yen,
    no_repeats,
    one_of,
    repeated,
)

_APRIL = 4


def fiscal_year(day: date) -> int:
    """Return the fiscal year (年度) of a day: April to March, named after its April."""
    return day.year if day.month >= _APRIL else day.year - 1


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


@dataclass(frozen=True, slots=True)
class Ineligible:
    """Why a purchaser takes no electronic certificate for this. Paper stays possible (EL-8)."""

    #: As in docs/domain.md.
    rule_id: str
    #: Which argument of the question is to blame.
    field: str
    message_ja: str
    message_en: str


class Submission(_Record):
    """How this purchaser wants the key notice handed in (SUB-1 to SUB-10). The contractor does it, nobody else."""

    #: `e_contract_system`, `mail`: the ways that are open, the one to offer first first.
    channels: Annotated[tuple[SubmissionChannel, ...], Field(min_length=1), AfterValidator(no_repeats)]
    #: How to hand in the key notice, in Japanese.
    instructions: Text
    #: None where the contractor has to ask.
    mail_address: MailAddress | None = None
    #: Subject of that mail, with places for {works_name}, {contract_number} and {contractor_name}.
    mail_subject: SubjectLine | None = None
    #: What becomes of その他の必要書類, in Japanese.
    other_documents: Text

    @model_validator(mode="after")
    def _mail_has_a_subject(self) -> Self:
        if codes.MAIL in self.channels:
            if self.mail_subject is None:
                raise ValueError("mail needs a mail_subject")
        elif self.mail_subject is not None or self.mail_address is not None:
            raise ValueError("mail_subject and mail_address need the channel mail")
        return self

    def subject(self, *, works_name: str, contract_number: str, contractor_name: str) -> str | None:
        """The mail's subject for one guarantee; None where nothing goes by mail."""
        if self.mail_subject is None:
            return None
        return self.mail_subject.format(
            works_name=works_name, contract_number=contract_number, contractor_name=contractor_name
        )


class Purchaser(_Record):
    """A public body that commissions works (発注者)."""

    id: Id
    version: Version
    #: 栃木県
    name: Line
    #: 被保証者: the office, not the body (栃木県知事).
    title: Line
    #: First day of electronic surety; None means there was no such day, it always applies.
    starts_on: Day | None = None
    date_basis: Annotated[str, one_of(codes.DATE_BASES)]
    works_kinds: Annotated[tuple[WorksKind, ...], Field(min_length=1), AfterValidator(no_repeats)]
    products: Annotated[tuple[Product, ...], Field(min_length=1), AfterValidator(no_repeats)]
    submission: Submission

    def electronic_refusal(self, *, works_kind: str, product: str, contract_date: date) -> Ineligible | None:
        """Say why a certificate cannot be electronic, or None if it can. The first broken rule answers."""
        if works_kind not in self.works_kinds:
            accepted = "・".join(codes.WORKS_KINDS[kind].japanese for kind in self.works_kinds)
            return Ineligible(
                "EL-2",
                "works_kind",
                f"{self.name}で電子保証をご利用いただけるのは{accepted}です。書面の保証証書をお申し込みください。",
                f"{self.name} takes electronic certificates only for: {', '.join(self.works_kinds)}. Choose paper.",
            )
        if product not in self.products:
            accepted = "・".join(codes.PRODUCTS[code].full for code in self.products)
            return Ineligible(
                "EL-5",
                "product",
                f"{self.name}で電子保証をご利用いただけるのは{accepted}です。書面の保証証書をお申し込みください。",
                f"{self.name} takes electronic certificates only for: {', '.join(self.products)}. Choose paper.",
            )
        if self.starts_on is not None and contract_date < self.starts_on:
            day = self.starts_on
            return Ineligible(
                "EL-7",
                "contract_date",
                f"{self.name}で電子保証をご利用いただけるのは、請負契約日が{day.year}年{day.month}月{day.day}日以降の"
                "案件です。書面の保証証書をお申し込みください。",
                f"{self.name} takes electronic certificates for contracts dated {day.isoformat()} or later. "
                "Choose paper.",
            )
        return None


class Branch(_Record):
    """An office of a surety that decides applications (営業部・支店), printed as 取扱箇所."""

    id: Id
    name: Line
    telephone: Telephone
    fax: Telephone
    #: Purchasers whose works it is suggested for; the contractor may send to another.
    handles: Annotated[tuple[Id, ...], AfterValidator(no_repeats)] = ()


class Officer(_Record):
    """Who signs for the surety, from and until which day, both included."""

    title: Line
    name: Line
    from_day: Day = Field(alias="from")
    #: None for the one in office.
    until_day: Day | None = Field(alias="until", default=None)

    @model_validator(mode="after")
    def _ends_after_it_begins(self) -> Self:
        if self.until_day is not None and self.until_day < self.from_day:
            raise ValueError("until lies before from")
        return self


class Numbering(_Record):
    """The blocks of one branch in one fiscal year, in the order in which they are used up."""

    branch: Id
    fiscal_year: FiscalYear
    blocks: Annotated[tuple[Block, ...], Field(min_length=1)]


class Limits(_Record):
    """Up to where the rules accept without a person. Above, the desk decides."""

    advance_payment_ratio_percent: Percentage
    interim_payment_ratio_percent: Percentage
    performance_ratio_percent: Percentage
    #: Per guarantee.
    amount_yen: Yen
    #: Per contractor, over all guarantees in force.
    exposure_yen: Yen

    def ratio_percent(self, product: str) -> Decimal:
        match product:
            case codes.ADVANCE_PAYMENT:
                return self.advance_payment_ratio_percent
            case codes.INTERIM_PAYMENT:
                return self.interim_payment_ratio_percent
            case codes.PERFORMANCE:
                return self.performance_ratio_percent
            case _:
                raise UnknownProduct(product)


class FeePaymentMethod(_Record):
    """One choice of 保証料支払方法."""

    code: Annotated[str, StringConstraints(pattern=r"^[a-z]+(_[a-z]+)*$", max_length=64)]
    label: Line


class Clauses(_Record):
    """The sentence by which the surety binds itself, for each product."""

    advance_payment: Text
    interim_payment: Text
    performance: Text

    def of(self, product: str) -> str:
        match product:
            case codes.ADVANCE_PAYMENT:
                return self.advance_payment
            case codes.INTERIM_PAYMENT:
                return self.interim_payment
            case codes.PERFORMANCE:
                return self.performance
            case _:
                raise UnknownProduct(product)


class Surety(_Record):
    """A company that guarantees (保証会社), with the wording of its portal and letters."""

    id: Id
    version: Version
    #: `net-desk` or `e-net`
    family: Annotated[str, one_of(codes.FAMILIES)]
    name: Line
    short_name: Line
    address: Line
    #: インターネット保証サービス, by its product name.
    portal_name: Line
    portal_url: Url
    #: Where purchasers view certificates, by its product name.
    viewing_platform_name: Line
    viewing_platform_url: Url
    #: 見本 across every document.
    specimen: StrictBool
    #: `opt_in` or `always`
    completion_mail: Annotated[str, one_of(codes.COMPLETION_MAIL_RULES)]
    mail_from: MailAddress
    mail_subject: Line
    #: Who is told when a mail to a contractor cannot be delivered; None where nobody is.
    undeliverable_mail_to: MailAddress | None = None
    #: Title of the PDF that the contractor hands to the purchaser.
    key_notice_title: Line
    #: Printed under the title of an electronic certificate.
    certificate_legend: Text
    guarantee_ends: Annotated[str, one_of(codes.GUARANTEE_ENDS_RULES)]
    #: `single` or `four_eyes`
    desk_approval: Annotated[str, one_of(codes.DESK_APPROVALS)]
    limits: Limits
    clauses: Clauses
    #: （注）, in order, without their numbers.
    notes: tuple[Text, ...]
    fee_payment_methods: Annotated[tuple[FeePaymentMethod, ...], Field(min_length=1)]
    branches: Annotated[tuple[Branch, ...], Field(min_length=1)]
    officers: Annotated[tuple[Officer, ...], Field(min_length=1)]
    numbering: Annotated[tuple[Numbering, ...], Field(min_length=1)]
    #: 保証料率, each product's tables in the order of their days.
    fee_rates: Annotated[tuple[FeeTable, ...], Field(min_length=1)]

    @field_validator("fee_payment_methods")
    @classmethod
    def _codes_differ(cls, methods: tuple[FeePaymentMethod, ...]) -> tuple[FeePaymentMethod, ...]:
        no_repeats(tuple(method.code for method in methods))
        return methods

    @field_validator("branches")
    @classmethod
    def _branches_differ(cls, branches: tuple[Branch, ...]) -> tuple[Branch, ...]:
        no_repeats(tuple(branch.id for branch in branches))
        if twice := repeated(purchaser for branch in branches for purchaser in branch.handles):
            raise ValueError(f"purchaser handled by more than one branch: {', '.join(twice)}")
        return branches

    @field_validator("officers")
    @classmethod
    def _officers_follow_each_other(cls, officers: tuple[Officer, ...]) -> tuple[Officer, ...]:
        for earlier, later in pairwise(officers):
            if earlier.until_day is None or later.from_day <= earlier.until_day:
                raise ValueError(f"{earlier.name} and {later.name} overlap, or are not in order")
            if later.from_day > earlier.until_day + timedelta(days=1):
                raise ValueError(f"nobody between {earlier.name} and {later.name}")
        return officers

    @field_validator("numbering")
    @classmethod
    def _numbering_is_complete(cls, numbering: tuple[Numbering, ...], info: ValidationInfo) -> tuple[Numbering, ...]:
        if twice := repeated(block for row in numbering for block in row.blocks):
            raise ValueError(f"block more than once: {', '.join(twice)}")
        if twice := repeated(f"{row.branch} {row.fiscal_year}" for row in numbering):
            raise ValueError(f"branch and fiscal year more than once: {', '.join(twice)}")
        # What failed before is absent here, and already reported.
        branches: tuple[Branch, ...] = info.data.get("branches", ())
        if branches:
            _every_branch_has_numbers(numbering, {branch.id for branch in branches})
        officers: tuple[Officer, ...] = info.data.get("officers", ())
        if officers:
            _somebody_signs_in_every_numbered_year(numbering, officers)
        return numbering

    @field_validator("fee_rates")
    @classmethod
    def _rates_are_complete(cls, tables: tuple[FeeTable, ...], info: ValidationInfo) -> tuple[FeeTable, ...]:
        numbering: tuple[Numbering, ...] = info.data.get("numbering", ())
        return check_tables(tables, _first_day(numbering) if numbering else None)

    def officer_on(self, day: date) -> Officer:
        """Return who signs on this day; an old certificate keeps the one it was issued with (CERT-5)."""
        for officer in self.officers:
            if officer.from_day <= day and (officer.until_day is None or day <= officer.until_day):
                return officer
        raise NoOfficerOn(self.id, day)

    def fee(self, product: str, amount_yen: int, day: date) -> Fee:
        """Return 保証料 by the table in force on this day (FEE-6)."""
        if product not in codes.PRODUCTS:
            raise UnknownProduct(product)
        table = table_on(self.fee_rates, product, day)
        if table is None:
            raise NoFeeRates(self.id, product, day)
        return table.fee(amount_yen)

    def branch(self, branch_id: str) -> Branch:
        for branch in self.branches:
            if branch.id == branch_id:
                return branch
        raise UnknownBranch(self.id, branch_id)

    def branch_handling(self, purchaser_id: str) -> Branch | None:
        """Return the branch to suggest for a purchaser's works, if one is named."""
        return next((branch for branch in self.branches if purchaser_id in branch.handles), None)

    def blocks(self, branch_id: str, fiscal_year: int) -> tuple[str, ...]:
        """Return the number blocks of a branch in a fiscal year, in the order in which they are used up."""
        branch = self.branch(branch_id)
        for row in self.numbering:
            if row.branch == branch.id and row.fiscal_year == fiscal_year:
                return row.blocks
        raise NoNumberingBlocks(self.id, branch_id, fiscal_year)


def _first_day(numbering: tuple[Numbering, ...]) -> date:
    return date(min(row.fiscal_year for row in numbering), _APRIL, 1)


def _every_branch_has_numbers(numbering: tuple[Numbering, ...], branch_ids: set[str]) -> None:
    if strangers := sorted({row.branch for row in numbering} - branch_ids):
        raise ValueError(f"no such branch: {', '.join(strangers)}")
    for branch_id in sorted(branch_ids):
        years = sorted(row.fiscal_year for row in numbering if row.branch == branch_id)
        if not years:
            raise ValueError(f"branch {branch_id} has no blocks")
        if missing := sorted(set(range(years[0], years[-1])) - set(years)):
            raise ValueError(f"branch {branch_id} has no blocks in {missing[0]}")


def _somebody_signs_in_every_numbered_year(numbering: tuple[Numbering, ...], officers: tuple[Officer, ...]) -> None:
    first_day = _first_day(numbering)
    last_day = date(max(row.fiscal_year for row in numbering) + 1, _APRIL, 1) - timedelta(days=1)
    if officers[0].from_day > first_day:
        raise ValueError(f"numbers from {first_day.isoformat()}, but nobody signs before {officers[0].name}")
    until_day = officers[-1].until_day
    if until_day is not None and until_day < last_day:
        raise ValueError(f"numbers until {last_day.isoformat()}, but nobody signs after {officers[-1].name}")
