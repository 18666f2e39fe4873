"""Intake, put together. The only place that constructs and wires."""

from functools import partial
from uuid import UUID

from chassis.consumer import Reading
from chassis.sealing import DataKey
from chassis.service import Service, Task, make_runtime
from reference import reader
from schemas import topics
from schemas.certificates import CertificateIssued
from schemas.decisions import ApplicationDecided, ApplicationQueued, ApplicationWithdrawn, WithdrawalRefused
from schemas.notifications import MailSent, MailUndeliverable
from schemas.registrations import CertificateRegistered
from schemas.views import CertificateViewed
from services.intake import handlers
from services.intake.settings import IntakeSettings
from services.intake.watch import watch_unanswered
from services.intake.web.routes import FORM_DEFINITIONS, Counter, make_router


def make_service(settings: IntakeSettings) -> Service:
    """Raises `SecretMissing` or `InvalidReference` before anything starts."""
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
    reading = Reading(
        group="intake",
        handlers={
            ApplicationQueued: handlers.follow_queued,
            ApplicationDecided: handlers.follow_decided,
            ApplicationWithdrawn: handlers.follow_withdrawn,
            WithdrawalRefused: handlers.follow_refused,
            CertificateIssued: partial(handlers.follow_certificates, taking=taking),
            CertificateRegistered: handlers.follow_registrations,
            CertificateViewed: handlers.follow_views,
            MailSent: handlers.follow_mails,
            MailUndeliverable: handlers.follow_mails,
        },
    )
    return Service(
        runtime=runtime,
        title="Takes contractors' applications and shows what became of them (受付)",
        shared_tables=("chassis_0001_outbox", "chassis_0002_accounts"),
        routers=(make_router(Counter(runtime=runtime, taking=taking)),),
        readings=(reading,),
        tasks=(Task("watch", partial(watch_unanswered, runtime=runtime)),),
        schemas=FORM_DEFINITIONS,
    )
