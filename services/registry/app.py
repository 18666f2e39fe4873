"""The registry, put together. The only place that constructs and wires."""

from datetime import timedelta
from functools import partial
from uuid import UUID

from chassis.consumer import Reading
from chassis.sealing import DataKey
from chassis.service import Service, make_runtime
from documents.signing import LocalSigner
from reference.reader import load
from schemas.authentication_key import secret_id
from schemas.certificates import CertificateIssued
from services.registry import handlers
from services.registry.domain import Limits
from services.registry.settings import RegistrySettings
from services.registry.web import pages
from services.registry.web.routes import ReadingRoom, make_router


def make_service(settings: RegistrySettings) -> Service:
    """Raises `SecretMissing` and `KeyDoesNotSign` before anything starts."""
    runtime = make_runtime("registry", settings)
    pepper = settings.secrets.key("pepper")
    registering = handlers.Registering(
        clock=runtime.clock,
        outbox=runtime.outbox,
        limits=Limits(
            per_number=settings.failures_per_number,
            per_account=settings.failures_per_account,
            window=timedelta(seconds=settings.throttle_window_seconds),
        ),
        peppers={secret_id(pepper): pepper},
        open_for=timedelta(seconds=settings.certificate_open_seconds),
    )
    secret = settings.secrets.text
    room = ReadingRoom(
        runtime=runtime,
        registering=registering,
        reference=load(),
        signer=LocalSigner.from_pem(secret("document_key.pem").encode(), secret("document_chain.pem").encode()),
    )
    site = pages.make_site(runtime, DataKey(UUID(int=0), settings.secrets.key("at_rest_key")), room.reference)
    reading = Reading(
        group="registry",
        handlers={CertificateIssued: partial(handlers.register_certificates, registering=registering)},
    )
    return Service(
        runtime=runtime,
        title="Records certificates and shows them to purchasers (登録・閲覧)",
        shared_tables=("chassis_0001_outbox", "chassis_0002_accounts", "chassis_0003_sign_in"),
        routers=(make_router(room), pages.make_router(site, room)),
        site=site,
        readings=(reading,),
    )
