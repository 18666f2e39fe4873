"""decisions.v1, published by the issuer: what became of an application."""

from uuid import UUID

from schemas.event import AwareDatetime, Code, ContractNumber, Document, Event, Line, Text


class Finding(Document):
    """Why the rules could not accept by themselves, for a person."""

    rule: Code
    #: Empty where the finding is about the whole application.
    product: Code | None = None
    message_ja: Text
    message_en: Text


class ApplicationQueued(Event):
    """The rules left the application to the desk."""

    key_field = "application_id"
    identity_fields = ("application_id",)
    time_field = "queued_at"

    application_id: UUID
    queued_at: AwareDatetime
    findings: tuple[Finding, ...]


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
