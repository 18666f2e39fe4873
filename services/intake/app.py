"""Intake, put together. The only place that constructs and wires."""

from functools import partial
from typing import Final
from uuid import UUID

from chassis.consumer import Reading
from chassis.sealing import DataKey
from chassis.service import Service, Task, make_runtime
from chassis.web.complete import CompletePortal
from documents.signing import LocalSigner
from reference import reader
from schemas import topics
from schemas.certificates import CertificateIssued
from schemas.decisions import (
    ApplicationDecided,
    ApplicationQueued,
    ApplicationWithdrawn,
    MessageToContractor,
    WithdrawalRefused,
)
from schemas.notifications import ApplicationMailSent, ApplicationMailUndeliverable, MailSent, MailUndeliverable
from schemas.registrations import CertificateRegistered
from schemas.views import CertificateViewed
from services.intake import handlers
from services.intake.messages import handlers as messages
from services.intake.settings import IntakeSettings
from services.intake.shredding.reminder import remind
from services.intake.watch import watch_unanswered
from services.intake.web import (
    applying,
    certificates,
    guarantees,
    home,
    letters,
    pages,
    printing,
    public,
    sending,
    standing,
    submitting,
)
from services.intake.web.documents import Printer
from services.intake.web.linked import LINKS
from services.intake.web.routes import Counter, make_router

#: Of `chassis/sql`, those that its own migrations stand on.
SHARED_TABLES: Final = (
    "chassis_0001_outbox",
    "chassis_0002_accounts",
    "chassis_0003_sign_in",
    "chassis_0004_old_attempts",
)


def make_service(settings: IntakeSettings) -> Service:
    """Raises `SecretUnusable` or `InvalidReference` before anything starts."""
    runtime = make_runtime("intake", settings)
    readers = {name: settings.secrets.key(f"public_keys/{name}") for name in (*topics.DATA_KEYS.readers, handlers.SELF)}
    taking = handlers.Taking(
        reference=reader.load(settings.reference_dir),
        clock=runtime.clock,
        outbox=runtime.outbox,
        readers=readers,
        private_key=settings.secrets.key("private_key"),
        at_rest=DataKey(UUID(int=0), settings.secrets.key("at_rest_key")),
    )
    counter = Counter(runtime=runtime, taking=taking)
    site = pages.make_site(runtime, taking.at_rest)
    signer = LocalSigner.from_pem(
        settings.secrets.text("document_key.pem").encode(), settings.secrets.text("document_chain.pem").encode()
    )
    printer = Printer(taking, signer, settings.purchaser_url, site.wording)
    return Service(
        runtime=runtime,
        title="Takes contractors' applications and shows what became of them (受付)",
        shared_tables=SHARED_TABLES,
        routers=(
            submitting.make_router(counter),
            make_router(counter),
            letters.make_router(counter),
            printing.make_router(counter, printer),
            public.make_router(site, taking.reference, settings.purchaser_url),
            pages.make_router(site, counter),
            home.make_router(site, counter),
            applying.make_router(site, counter),
            sending.make_router(site, counter),
            standing.make_router(site, counter),
            guarantees.make_router(site, counter, printer),
            certificates.make_router(site, counter, printer),
            public.make_portal_router(site, counter),
        ),
        readings=(make_reading(partial(handlers.reseal_key, taking=taking)),),
        tasks=(
            Task("watch", partial(watch_unanswered, runtime=runtime)),
            Task("reminder", partial(remind, runtime=runtime), 240),
        ),
        schemas=submitting.FORM_DEFINITIONS,
        links=LINKS,
        site=CompletePortal(site),
    )


def make_reading(reseal: handlers.Reseal) -> Reading:
    return Reading(
        group="intake",
        handlers={
            ApplicationQueued: handlers.follow_queued,
            ApplicationDecided: handlers.follow_decided,
            ApplicationWithdrawn: handlers.follow_withdrawn,
            WithdrawalRefused: handlers.follow_refused,
            MessageToContractor: messages.follow_messages,
            CertificateIssued: partial(handlers.follow_certificates, reseal=reseal),
            CertificateRegistered: handlers.follow_registrations,
            CertificateViewed: handlers.follow_views,
            MailSent: handlers.follow_mails,
            MailUndeliverable: handlers.follow_mails,
            ApplicationMailSent: handlers.follow_mails,
            ApplicationMailUndeliverable: handlers.follow_mails,
        },
    )
