"""The registry, put together. The only place that constructs and wires."""

from datetime import timedelta
from functools import partial
from typing import Final
from uuid import UUID

from chassis.consumer import Reading
from chassis.sealing import DataKey
from chassis.service import Service, Task, make_runtime
from chassis.web.complete import CompletePortal
from documents.signing import LocalSigner
from reference.reader import load
from schemas.authentication_key import secret_id
from schemas.certificates import CertificateIssued
from services.registry import handlers
from services.registry.domain import Limits
from services.registry.log.signing import Signing
from services.registry.log.witnessing import Witnessing
from services.registry.settings import RegistrySettings
from services.registry.web import log_files, pages
from services.registry.web.routes import ReadingRoom, make_router
from transparency.signatures import SignerKey, VerifierKey

#: Of `chassis/sql`, those that its own migrations stand on.
SHARED_TABLES: Final = (
    "chassis_0001_outbox",
    "chassis_0002_accounts",
    "chassis_0003_sign_in",
    "chassis_0004_old_attempts",
)


def make_service(settings: RegistrySettings) -> Service:
    """Raises `SecretUnusable`, `KeyDoesNotSign` and `Malformed` (keys of log and witnesses) before anything starts."""
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
        arrivals=handlers.Arriving(runtime.clock),
        peppers={secret_id(pepper): pepper},
        open_for=timedelta(seconds=settings.certificate_open_seconds),
    )
    secret = settings.secrets.text
    room = ReadingRoom(
        runtime=runtime,
        registering=registering,
        reference=load(settings.reference_dir),
        signer=LocalSigner.from_pem(secret("document_key.pem").encode(), secret("document_chain.pem").encode()),
    )
    site = pages.make_site(runtime, DataKey(UUID(int=0), settings.secrets.key("at_rest_key")), room.reference)
    log_key = SignerKey.parse(secret("log_key"))
    signing = Signing(
        pool=runtime.require_pool,
        clock=runtime.clock,
        signer=log_key,
        origin=settings.log_origin or log_key.name,
        draw=handlers.draw_salt,
        every_seconds=settings.log_sign_seconds,
    )
    witnessing = [
        Witnessing(
            url=one.url,
            # A verifier key has two pluses, and the name of a secret has none.
            key=VerifierKey.parse(one.key if "+" in one.key else secret(one.key)),
            signing=signing,
            pool=runtime.require_pool,
            every_seconds=settings.log_sign_seconds,
            ca_file=one.ca_file,
        )
        for one in settings.witnesses
    ]
    reading = Reading(
        group="registry",
        handlers={CertificateIssued: partial(handlers.register_certificates, registering=registering)},
    )
    return Service(
        runtime=runtime,
        title="Records certificates and shows them to purchasers (登録・閲覧)",
        shared_tables=SHARED_TABLES,
        routers=(make_router(room), log_files.make_router(runtime, log_key.verifier), pages.make_router(site, room)),
        site=CompletePortal(site),
        readings=(reading,),
        tasks=(
            Task("log", signing.run),
            *(Task(f"witness {one.key.name}", one.run) for one in witnessing),
        ),
    )
