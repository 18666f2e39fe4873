"""The issuer, put together. The only place that constructs and wires."""

from functools import partial

from chassis.consumer import Reading
from chassis.service import Service, make_runtime
from reference import reader
from schemas.applications import ApplicationSubmitted, WithdrawalRequested
from schemas.data_keys import DataKeyWrapped
from services.issuer import handlers
from services.issuer.minting import KeyMint
from services.issuer.settings import IssuerSettings
from services.issuer.web.routes import Desk, make_router


def make_service(settings: IssuerSettings) -> Service:
    """Raises `SecretMissing` or `InvalidReference` before anything starts."""
    runtime = make_runtime("issuer", settings)
    issuing = handlers.Issuing(
        reference=reader.load(settings.reference_dir),
        clock=runtime.clock,
        outbox=runtime.outbox,
        mint=KeyMint(
            pepper=settings.secrets.key("pepper"), intake_public_key=settings.secrets.key("public_keys/intake")
        ),
    )
    reading = Reading(
        group="issuer",
        # In this order: a withdrawal asks for an application that may be in the same poll.
        handlers={
            DataKeyWrapped: handlers.keep_data_keys,
            ApplicationSubmitted: partial(handlers.decide_applications, issuing=issuing),
            WithdrawalRequested: partial(handlers.answer_withdrawals, issuing=issuing),
        },
        forget=handlers.forget_data_keys,
    )
    desk = Desk(runtime=runtime, issuing=issuing, private_key=settings.secrets.key("private_key"))
    return Service(
        runtime=runtime,
        title="Decides applications and issues certificates (保証会社)",
        shared_tables=("chassis_0001_outbox", "chassis_0002_accounts"),
        routers=(make_router(desk),),
        readings=(reading,),
    )
