"""The notifier, put together. The only place that constructs and wires."""

from functools import partial
from typing import Final

from chassis.consumer import Reading
from chassis.service import Service, Task, make_runtime
from reference import reader
from schemas.applications import ApplicationSubmitted
from schemas.data_keys import DataKeyWrapped
from schemas.decisions import ApplicationDecided
from schemas.registrations import CertificateRegistered
from schemas.views import CertificateViewed
from services.notifier import handlers
from services.notifier.domain import BackOff
from services.notifier.ledger import Ledger
from services.notifier.sender import Bell, Pause, RingingOutbox, Sender
from services.notifier.settings import NotifierSettings
from services.notifier.smtp import Server
from services.notifier.sweeper import GROUP, Sweeper

#: Of `chassis/sql`, those that its own migrations stand on.
SHARED_TABLES: Final = ("chassis_0001_outbox",)


def make_service(settings: NotifierSettings) -> Service:
    """Raises `SecretUnusable` or `InvalidReference` before anything starts."""
    runtime = make_runtime("notifier", settings)
    bell = Bell(settings.poll_seconds)
    runtime.outbox = RingingOutbox("notifier", bell)
    reference = reader.load(settings.reference_dir)
    private_key = settings.secrets.key("private_key")
    noticing = handlers.Noticing(reference, runtime.clock, runtime.outbox, private_key)
    ledger = Ledger(
        pool=runtime.require_pool,
        outbox=runtime.outbox,
        clock=runtime.clock,
        reference=reference,
        private_key=private_key,
        contractor_url=settings.contractor_url,
        back_off=BackOff(settings.back_off_seconds, settings.give_up_after_seconds),
        lease_seconds=settings.lease_seconds,
        resend_unknown=settings.unknown_outcome == "resend",
    )
    sweeper = Sweeper(
        ledger,
        runtime.clock,
        every_seconds=settings.sweep_every_seconds,
        alone_after_seconds=settings.half_alone_after_seconds,
        park_after_seconds=settings.park_after_seconds,
    )
    return Service(
        runtime=runtime,
        title="Tells contractors by mail what became of their applications and certificates",
        shared_tables=SHARED_TABLES,
        routers=(),
        readings=(make_reading(noticing),),
        tasks=(*make_senders(settings, ledger, bell), Task("sweeper", sweeper.run, settings.sweep_every_seconds + 120)),
    )


def make_reading(noticing: handlers.Noticing) -> Reading:
    return Reading(
        group=GROUP,
        # The rest of these topics is let go. WithdrawalRequested, too: what was withdrawn is never registered, and what
        # is registered is told.
        handlers={
            DataKeyWrapped: partial(handlers.keep_data_keys, noticing=noticing),
            ApplicationSubmitted: partial(handlers.note_wishes, noticing=noticing),
            CertificateRegistered: partial(handlers.open_letters, noticing=noticing),
            ApplicationDecided: partial(handlers.note_returns, noticing=noticing),
            CertificateViewed: partial(handlers.note_views, noticing=noticing),
        },
        forget=partial(handlers.forget_data_keys, noticing=noticing),
    )


def make_senders(settings: NotifierSettings, ledger: Ledger, bell: Bell) -> tuple[Task, ...]:
    server = Server(
        settings.smtp_host,
        settings.smtp_port,
        settings.smtp_security,
        settings.smtp_username,
        settings.secrets.text("smtp_password") if settings.smtp_username else None,
        settings.smtp_timeout_seconds,
        settings.smtp_ca_file,
    )
    pause = Pause(settings.server_away_seconds)
    return tuple(
        Task(
            f"sender {number}",
            Sender(
                ledger,
                server,
                bell=bell,
                pause=pause,
                drain_seconds=settings.drain_seconds,
            ).run,
            settings.lease_seconds + 120,
        )
        for number in range(1, settings.smtp_conversations + 1)
    )
