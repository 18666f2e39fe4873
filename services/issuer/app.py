"""The issuer, put together. The only place that constructs and wires."""

from functools import partial
from typing import Final
from uuid import UUID

from chassis.consumer import Gatherer, Reading
from chassis.sealing import DataKey
from chassis.service import Service, make_runtime
from chassis.web.complete import CompletePortal
from reference import reader
from schemas.applications import ApplicationSubmitted, MessageToSurety, WithdrawalRequested
from schemas.data_keys import DataKeyWrapped
from schemas.event import Event
from services.issuer import handlers, messages
from services.issuer.credit import CreditCheck
from services.issuer.issuance import Issuing
from services.issuer.minting import KeyMint
from services.issuer.settings import IssuerSettings
from services.issuer.web import pages
from services.issuer.web.linked import LINKS
from services.issuer.web.routes import Desk, make_router

#: Of `chassis/sql`, those that its own migrations stand on.
SHARED_TABLES: Final = (
    "chassis_0001_outbox",
    "chassis_0002_accounts",
    "chassis_0003_sign_in",
    "chassis_0004_old_attempts",
)


def make_service(settings: IssuerSettings) -> Service:
    """Raises `SecretUnusable` or `InvalidReference` before anything starts."""
    runtime = make_runtime("issuer", settings)
    issuing = Issuing(
        reference=reader.load(settings.reference_dir),
        clock=runtime.clock,
        outbox=runtime.outbox,
        mint=KeyMint(
            pepper=settings.secrets.key("pepper"), intake_public_key=settings.secrets.key("public_keys/intake")
        ),
    )
    decide = partial(handlers.decide_applications, issuing=issuing)
    gatherers: dict[type[Event], Gatherer] = {}
    if settings.credit_check_url is not None:
        name = settings.credit_check_token
        token = settings.secrets.text(name) if name is not None else None
        credit = CreditCheck(
            str(settings.credit_check_url),
            settings.credit_check_seconds,
            token,
            at_once=settings.credit_check_at_once,
        )
        gatherers[ApplicationSubmitted] = partial(credit.inform, decide, runtime.clock)
    reading = Reading(
        group="issuer",
        # In this order: a withdrawal and a message are about an application that may be in the same poll.
        handlers={
            DataKeyWrapped: handlers.keep_data_keys,
            ApplicationSubmitted: decide,
            WithdrawalRequested: partial(handlers.answer_withdrawals, issuing=issuing),
            MessageToSurety: messages.keep_messages,
        },
        forget=handlers.forget_data_keys,
        gatherers=gatherers,
    )
    desk = Desk(runtime=runtime, issuing=issuing, private_key=settings.secrets.key("private_key"))
    site = pages.make_site(runtime, DataKey(UUID(int=0), settings.secrets.key("at_rest_key")), issuing.reference)
    return Service(
        runtime=runtime,
        title="Decides applications and issues certificates (保証会社)",
        shared_tables=SHARED_TABLES,
        routers=(make_router(desk), pages.make_router(site, desk)),
        site=CompletePortal(site),
        links=LINKS,
        readings=(reading,),
    )
