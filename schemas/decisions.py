"""decisions.v1, published by the issuer: what became of an application."""

from uuid import UUID

from schemas.event import AwareDatetime, Code, ContractNumber, Document, Event, Line, Rate, Text, Yen
from schemas.sealed import SealedText


class Finding(Document):
    """Why the rules could not accept by themselves, for a person."""

    rule: Code
    #: Empty where the finding is about the whole application.
    product: Code | None = None
    message_ja: Text
    message_en: Text


class OutsideFact(Document):
    """What somebody else answered about the application, so that a replay need not ask again."""

    #: Who was asked: `credit`
    source: Code
    #: `clear`, `refer`, or `unavailable` when no answer came.
    answer: Code
    asked_at: AwareDatetime
    #: Under which name the other side finds its answer again.
    reference: Line | None = None


class ApplicationQueued(Event):
    """The rules left the application to the desk."""

    key_field = "application_id"
    identity_fields = ("application_id",)
    time_field = "queued_at"

    application_id: UUID
    queued_at: AwareDatetime
    findings: tuple[Finding, ...]
    outside_facts: tuple[OutsideFact, ...] = ()


class FeeLine(Document):
    """One bracket of 保証料: a part of the amount, and its rate."""

    base_yen: Yen
    #: Decimal places as the rate table prints them.
    rate_percent: Rate
    fee_yen: Yen


class Fee(Document):
    """保証料, as the profile's rate table gave it on the day of the decision."""

    lines: tuple[FeeLine, ...]
    fee_yen: Yen


class ProductOutcome(Document):
    """What was decided for one product."""

    product: Code
    form: Code
    #: `accepted` or `returned`
    outcome: Code
    #: Why it was returned.
    reasons: tuple[Finding, ...] = ()
    #: Of an accepted paper product, which gets no certificate event.
    contract_number: ContractNumber | None = None
    #: Of an accepted product.
    fee: Fee | None = None


class DeskDecisionMade(Event):
    """A person at the desk decided; who, is part of the record."""

    key_field = "application_id"
    identity_fields = ("application_id",)
    time_field = "decided_at"

    application_id: UUID
    decided_at: AwareDatetime
    decided_by: UUID
    person: Line
    #: `accepted` or `returned`
    outcome: Code
    #: To the contractor (弊社からお客様へのお知らせ).
    message: Text = ""
    #: Who proposed it, where another has to approve (four eyes); `decided_by` is then who approved.
    proposed_by: UUID | None = None
    proposer: Line | None = None


class ApplicationDecided(Event):
    """The application is decided, product by product. Final."""

    key_field = "application_id"
    identity_fields = ("application_id",)
    time_field = "decided_at"

    application_id: UUID
    decided_at: AwareDatetime
    #: `rules` or `desk`
    decided_by: Code
    rules_version: Code
    reference_version: Code
    outcomes: tuple[ProductOutcome, ...]
    #: From the desk to the contractor.
    message: Text = ""
    #: Of a decision by rules; what waited has them in `ApplicationQueued`.
    outside_facts: tuple[OutsideFact, ...] = ()


class ApplicationWithdrawn(Event):
    """The application was taken back before it was decided. Final."""

    key_field = "application_id"
    identity_fields = ("application_id",)
    time_field = "withdrawn_at"

    application_id: UUID
    withdrawn_at: AwareDatetime


class WithdrawalRefused(Event):
    """The withdrawal came too late: the application was decided before."""

    key_field = "application_id"
    identity_fields = ("application_id",)
    time_field = "refused_at"

    application_id: UUID
    refused_at: AwareDatetime
    reason: Code


class MessageToContractor(Event):
    """The surety's staff wrote to the contractor about an application (弊社からお客様へのお知らせ)."""

    key_field = "application_id"
    identity_fields = ("message_id",)
    time_field = "sent_at"

    message_id: UUID
    application_id: UUID
    sent_at: AwareDatetime
    sent_by: UUID
    text: SealedText
