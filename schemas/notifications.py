"""notifications.v1, published by the notifier: what became of a letter. Addresses are never in it."""

from uuid import UUID

from schemas.event import Attempts, AwareDatetime, Code, ContractNumber, Event, Line


class MailSent(Event):
    """An SMTP server took the letter over."""

    key_field = "application_id"
    identity_fields = ("certificate_id", "letter")
    time_field = "sent_at"

    application_id: UUID
    certificate_id: UUID
    contract_number: ContractNumber
    letter: Code
    message_id: Line
    sent_at: AwareDatetime
    attempts: Attempts


class MailUndeliverable(Event):
    """The letter was given up: refused for good, or put off for too long."""

    key_field = "application_id"
    identity_fields = ("certificate_id", "letter")
    time_field = "gave_up_at"

    application_id: UUID
    certificate_id: UUID
    contract_number: ContractNumber
    letter: Code
    message_id: Line
    gave_up_at: AwareDatetime
    attempts: Attempts
    #: `refused`, `expired`, `no_address`, `unreadable` (contact that fits no key) or `shredded`
    reason: Code
    #: The server's last reply code, where there was one.
    smtp_code: int | None = None


class ApplicationMailSent(Event):
    """An SMTP server took over a letter about an application as a whole."""

    key_field = "application_id"
    identity_fields = ("application_id", "letter")
    time_field = "sent_at"

    application_id: UUID
    #: `returned`
    letter: Code
    message_id: Line
    sent_at: AwareDatetime
    attempts: Attempts


class ApplicationMailUndeliverable(Event):
    """A letter about an application as a whole was given up."""

    key_field = "application_id"
    identity_fields = ("application_id", "letter")
    time_field = "gave_up_at"

    application_id: UUID
    letter: Code
    message_id: Line
    gave_up_at: AwareDatetime
    attempts: Attempts
    #: As of `MailUndeliverable`.
    reason: Code
    smtp_code: int | None = None
