"""What intake does for contractors, and how it follows what became of their applications.

Each gets an open transaction; none commits or publishes. The numbers of steps are those of docs/the-flow.md.
"""

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import structlog
from pydantic import TypeAdapter, ValidationError
from uuid_utils.compat import uuid7

from chassis import sealing
from chassis.clock import Clock
from chassis.decoding import Received, Refused
from chassis.metrics import MUST_NEVER
from chassis.outbox import Outbox
from chassis.postgres import Transaction
from chassis.telemetry import current_cause
from chassis.web.idempotency import Answer
from chassis.web.problems import FieldError, Problem, field_errors, invalid, not_json
from chassis.web.together import EachByItself
from chassis.web.tokens import Principal
from reference.reader import Reference
from schemas import authentication_key, contract_number
from schemas.applications import ApplicationSubmitted, Contractor, ProductApplied, WithdrawalRequested, Works
from schemas.certificates import CertificateIssued
from schemas.data_keys import DataKeyWrapped, WrappedKey
from schemas.decisions import ApplicationDecided, ApplicationQueued, ApplicationWithdrawn, Finding, WithdrawalRefused
from schemas.envelope import Cause
from schemas.registrations import CertificateRegistered
from schemas.sealed import Contact, SealedContact
from schemas.views import CertificateViewed
from services.intake import domain, store
from services.intake.forms import ApplicationForm

log = structlog.get_logger()

FORM = TypeAdapter(ApplicationForm)
REASONS = TypeAdapter(tuple[Finding, ...])
#: This service, as a reader of its own data keys.
SELF = "intake"


#: How a certificate's key is kept: nonce and ciphertext.
Reseal = Callable[[CertificateIssued], tuple[bytes, bytes]]


@dataclass(frozen=True)
class Taking:
    """What the handlers need besides a transaction."""

    reference: Reference
    clock: Clock
    outbox: Outbox
    #: Who can open contact data: reader → X25519 public key. `intake` itself is one of them.
    readers: dict[str, bytes]
    private_key: bytes = field(repr=False)
    #: Seals authentication keys in the database.
    at_rest: sealing.DataKey


def parse_json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise not_json() from None


def read_form(document: Any) -> ApplicationForm:
    """The form in a JSON document. Problem 422 when its shape is not that of the form."""
    try:
        return FORM.validate_json(json.dumps(document))
    except RecursionError:
        raise not_json() from None
    except ValidationError as error:
        raise invalid(field_errors(error)) from None


@dataclass(frozen=True)
class Applying:
    """Somebody applies."""

    form: ApplicationForm
    principal: Principal
    #: Of the request.
    cause: Cause


async def take_application(tx: Transaction, applying: Applying, *, taking: Taking) -> UUID:
    """As `take_applications`, of one; its id. All problems are raised."""
    (taken,) = await take_applications(tx, [applying], taking=taking)
    if isinstance(taken, Problem):
        raise taken
    log_taken(taken)
    return taken.application_id


async def take_applications(
    tx: Transaction, applying: Sequence[Applying], *, taking: Taking
) -> list[ApplicationSubmitted | Problem]:
    """Take applications: when this returns and `tx` commits, each is durable together with its announcement. In the
    order given, with a fixed number of statements.

    Returned for the one it is about: Problem 422, which names every field that breaks a rule, and 403. Raised, because
    `tx` is then of no use: Problem 409, which names an earlier application for the same works and product; and
    `EachByItself` where one of several replaces another, which makes room for those after it only.
    """
    if not applying:
        return []
    if len(applying) > 1 and any(each.form.replaces is not None for each in applying):
        raise EachByItself
    contractors = await store.contractors(tx, {each.principal.subject_id for each in applying})
    recipients = {reader: sealing.Recipient(public_key) for reader, public_key in taking.readers.items()}
    taken: list[_Taken | Problem] = []
    for each in applying:
        faults = domain.check(each.form, taking.reference)
        contractor, replaces = contractors.get(each.principal.subject_id), each.form.replaces
        if faults:
            taken.append(invalid([FieldError(one.field, one.rule, one.message_ja, one.message_en) for one in faults]))
        elif contractor is None:
            taken.append(no_contractor())
        # Only one's own can be replaced (APP-3). It stays as it is until `tx` ends.
        elif replaces is not None and not await store.lock_application(tx, replaces, each.principal.subject_id):
            fault = FieldError("replaces", "APP-3", "元の申込が見つかりません。", "There is no such application.")
            taken.append(invalid([fault]))
        else:
            taken.append(_take(each, contractor, recipients, taking))
    await _keep(tx, [each for each in taken if isinstance(each, _Taken)], taking)
    return [each if isinstance(each, Problem) else each.submitted for each in taken]


@dataclass(frozen=True)
class _Taken:
    submitted: ApplicationSubmitted
    #: For the others who may open its contact data, and for ourselves.
    wrapped: DataKeyWrapped
    wrapped_for_us: bytes
    cause: Cause


def _take(applying: Applying, contractor: Any, recipients: Mapping[str, sealing.Recipient], taking: Taking) -> _Taken:
    application_id = uuid7()
    data_key = sealing.DataKey(uuid7(), os.urandom(32))
    submitted = _submitted(applying, contractor, application_id, data_key, taking)
    copies = {
        reader: data_key.wrap(to, reader=reader, application_id=application_id) for reader, to in recipients.items()
    }
    own = copies.pop(SELF)
    wrapped = DataKeyWrapped(
        application_id=application_id,
        data_key_id=data_key.id,
        created_at=submitted.submitted_at,
        wrapped_for=tuple(WrappedKey(reader=reader, wrapped=sealing.b64(copy)) for reader, copy in copies.items()),
    )
    return _Taken(submitted, wrapped, own, applying.cause)


async def _keep(tx: Transaction, taken: Sequence[_Taken], taking: Taking) -> None:
    # Step 1: form → command → application row and its announcement, in one transaction.
    if not taken:
        return
    if refused := await keep_applications(tx, [(each.submitted, each.wrapped_for_us) for each in taken]):
        ours = refused[0]
        products = [applied.product for applied in ours.products]
        earlier = await store.earlier_application(tx, _works_key(ours), products, than=ours.application_id)
        raise Problem(
            409,
            "already-applied",
            "These works have an application for this product already.",
            detail="To send a returned or withdrawn one again, name it in `replaces`. (APP-4)",
            application_id=str(earlier),
        )
    await taking.outbox.add(tx, [(event, each.cause) for each in taken for event in (each.wrapped, each.submitted)])


async def keep_applications(
    tx: Transaction, applications: Sequence[tuple[ApplicationSubmitted, bytes]]
) -> list[ApplicationSubmitted]:
    """Keep applications with their wrapped data keys, each in place of what it replaces: of that one, what was returned
    or withdrawn (APP-3).

    Returns those of which a product is applied for on the same works already: `tx` is then of no use.
    """
    for submitted, _ in applications:
        if submitted.replaces is not None:
            replaceable = await store.replaceable_products(tx, submitted.replaces)
            products = [applied.product for applied in submitted.products if applied.product in replaceable]
            await store.deactivate(tx, submitted.replaces, products)
    return await store.add_applications(tx, [(each, _works_key(each), wrapped) for each, wrapped in applications])


def log_taken(submitted: ApplicationSubmitted) -> None:
    """Say that an application was taken, as part of its request."""
    products = [applied.product for applied in submitted.products]
    log.info("application.submitted", application_id=str(submitted.application_id), products=products)


async def request_withdrawal(tx: Transaction, application_id: UUID, *, principal: Principal, taking: Taking) -> Answer:
    """Ask the issuer to let an application go. Problem 409 when it is decided or withdrawn already."""
    row = await store.lock_application(tx, application_id, principal.subject_id)
    if row is None:
        raise not_found()
    if await store.is_answered(tx, application_id):
        raise Problem(409, "already-decided", "The application is decided or withdrawn already.")
    if row["withdrawal_requested_at"] is None:
        now = taking.clock.now()
        await store.set_withdrawal_requested(tx, application_id, now)
        asked = WithdrawalRequested(application_id=application_id, requested_at=now, requested_by=principal.account_id)
        await taking.outbox.add(tx, [(asked, current_cause())])
    return accepted(application_id, "withdrawal_requested")


def accepted(application_id: UUID, status: str) -> Answer:
    return Answer(202, {"application_id": str(application_id), "status": status})


async def disclose_key(tx: Transaction, contract_number: str, *, principal: Principal, taking: Taking) -> str:
    """The authentication key of a certificate that has arrived, for its contractor. Every look is recorded (KEY-7)."""
    rows = await store.history(tx, contract_number, principal.subject_id)
    if not rows:
        raise not_found()
    latest = rows[0]
    opened = taking.at_rest.open(latest["key_nonce"], latest["key_ciphertext"], about=latest["certificate_id"])
    await store.add_disclosure(tx, uuid7(), latest["certificate_id"], principal.account_id, taking.clock.now())
    return opened.decode()


def open_contact(submitted: ApplicationSubmitted, wrapped: bytes | None, *, taking: Taking) -> Contact | None:
    """The contact data of an application, or None when it was shredded."""
    data_key = open_data_key(submitted, wrapped, taking=taking)
    if data_key is None:
        return None
    sealed = submitted.contact
    return Contact.model_validate_json(
        data_key.open(sealing.unb64(sealed.nonce), sealing.unb64(sealed.ciphertext), about=submitted.application_id)
    )


def open_data_key(submitted: ApplicationSubmitted, wrapped: bytes | None, *, taking: Taking) -> sealing.DataKey | None:
    """The key of an application's personal data, or None when it was shredded."""
    if wrapped is None:
        return None
    info = sealing.wrapping_info(submitted.application_id, SELF)
    return sealing.DataKey(submitted.contact.data_key_id, sealing.open_with(taking.private_key, wrapped, info=info))


def read_number(typed: str) -> str:
    """A contract number as people type it. What cannot be one is simply not there."""
    number = contract_number.normalise(typed)
    if not contract_number.is_well_formed(number):
        raise not_found()
    return number


def no_contractor() -> Problem:
    return Problem(403, "forbidden", "This account belongs to no registered contractor.")


def not_found() -> Problem:
    return Problem(404, "not-found", "There is no such thing here.")


# Step 9: follow what the others tell. Each is a set of facts; order and repeats make no difference.


async def follow_queued(tx: Transaction, batch: Sequence[Received[ApplicationQueued]]) -> None:
    await store.add_queued(tx, [received.event for received in batch])


async def follow_decided(tx: Transaction, batch: Sequence[Received[ApplicationDecided]]) -> None:
    await store.add_decided(tx, [received.event for received in batch])
    await store.add_outcomes(
        tx,
        [
            (
                received.event.application_id,
                outcome.product,
                outcome.outcome,
                REASONS.dump_json(outcome.reasons).decode(),
                outcome.contract_number,
                None if outcome.fee is None else outcome.fee.model_dump_json(),
            )
            for received in batch
            for outcome in received.event.outcomes
        ],
    )


async def follow_withdrawn(tx: Transaction, batch: Sequence[Received[ApplicationWithdrawn]]) -> None:
    rows = [(received.event.application_id, received.event.withdrawn_at) for received in batch]
    await store.add_withdrawals(tx, rows, "withdrawn")


async def follow_refused(tx: Transaction, batch: Sequence[Received[WithdrawalRefused]]) -> None:
    rows = [(received.event.application_id, received.event.refused_at) for received in batch]
    await store.add_withdrawals(tx, rows, "refused")


async def follow_certificates(tx: Transaction, batch: Sequence[Received[CertificateIssued]], *, reseal: Reseal) -> None:
    """Keep the contractor's copy, with its key opened once and sealed again under our own."""
    await store.add_certificates(tx, [_certificate(received.event, reseal) for received in batch])
    await _compare_copies(tx, [received.event.certificate_id for received in batch])


async def follow_registrations(tx: Transaction, batch: Sequence[Received[CertificateRegistered]]) -> None:
    await store.add_registrations(tx, [received.event for received in batch])
    await _compare_copies(tx, [received.event.certificate_id for received in batch])


async def follow_views(tx: Transaction, batch: Sequence[Received[CertificateViewed]]) -> None:
    await store.add_views(tx, [received.event for received in batch])


async def follow_mails(tx: Transaction, batch: Sequence[Received[store.MailTold]]) -> None:
    await store.add_mails(tx, [received.event for received in batch])


def reseal_key(event: CertificateIssued, *, taking: Taking) -> tuple[bytes, bytes]:
    """The authentication key under our own key at rest: nonce and ciphertext."""
    info = authentication_key.sealing_info(event.contract_number, event.certificate_id)
    try:
        key = sealing.open_with(taking.private_key, sealing.unb64(event.authentication_key.sealed), info=info)
    except sealing.CannotOpen:
        raise Refused("key_cannot_be_opened") from None
    return taking.at_rest.seal(key, about=event.certificate_id)


def _certificate(event: CertificateIssued, reseal: Reseal) -> store.Certificate:
    content = event.content.canonical()
    if hashlib.sha256(content).hexdigest() != event.content_sha256:
        raise Refused("content_does_not_match")
    return store.Certificate(event, content, *reseal(event))


async def _compare_copies(tx: Transaction, certificate_ids: Sequence[UUID]) -> None:
    different = await store.count_different(tx, certificate_ids)
    if different:
        MUST_NEVER.labels("copies_differ").inc(different)
        log.critical("certificate.copies_differ", count=different)


def _submitted(
    applying: Applying, contractor: Any, application_id: UUID, data_key: sealing.DataKey, taking: Taking
) -> ApplicationSubmitted:
    """The checked form as an event: contractor from the account, contact sealed, form and ratio resolved."""
    form = applying.form
    surety = taking.reference.surety(form.surety_id or "")
    contact = Contact(
        mail_address=form.mail_address,
        department=form.contact.department,
        title=form.contact.title,
        person=form.contact.person,
        telephone=form.contact.telephone,
        message=form.message,
    )
    # A form sends its empty fields, too: blanks are no joint venture.
    jv_name = form.works.jv_name if (form.works.jv_name or "").strip() else None
    works = Works.model_validate({**vars(form.works), "jv_name": jv_name})
    return ApplicationSubmitted(
        application_id=application_id,
        replaces=form.replaces,
        submitted_at=taking.clock.now(),
        submitted_by=applying.principal.account_id,
        surety_id=surety.id,
        branch_id=form.branch_id or "",
        reference_version=taking.reference.version,
        contractor=Contractor.model_validate(dict(contractor)),
        works=works,
        products=tuple(
            ProductApplied.model_validate(
                {
                    **vars(product_form),
                    "product": product,
                    "form": domain.form_of(form, product_form, surety),
                    "ratio_percent": domain.ratio_percent(
                        product,
                        amount_yen=product_form.amount_yen or 0,
                        price_yen=works.price_yen,
                        fiscal_year_amount_yen=product_form.fiscal_year_amount_yen,
                    ),
                }
            )
            for product, product_form in form.products.chosen().items()
        ),
        completion_mail_wanted=domain.completion_mail_wanted(form, surety),
        contact=data_key.seal_as(SealedContact, contact.model_dump_json().encode(), about=application_id),
        returned_mail_wanted=form.returned_mail_wanted is True,
        viewed_mail_wanted=form.viewed_mail_wanted is True,
    )


def _works_key(submitted: ApplicationSubmitted) -> bytes:
    return domain.works_key(submitted.contractor.id, submitted.works)
