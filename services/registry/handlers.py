"""What the registry does: record what was issued, and show it to the purchaser who has number and key.

Each gets an open transaction; none commits or publishes. The numbers of steps are those of docs/the-flow.md.
"""

import base64
import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from http import HTTPStatus
from typing import Protocol

import structlog
from asyncpg import Record
from uuid_utils.compat import uuid7

from chassis.clock import Clock
from chassis.decoding import Received, Refused
from chassis.metrics import MUST_NEVER, WRONG_SECRETS
from chassis.outbox import Outbox
from chassis.postgres import Transaction
from chassis.web.problems import Problem
from chassis.web.tokens import Principal
from schemas import authentication_key, contract_number
from schemas.certificates import CertificateIssued
from schemas.envelope import Cause
from schemas.registrations import CertificateRegistered
from schemas.views import CertificateViewed
from services.registry import domain, store
from services.registry.checking import Checked, check, recorded_of
from services.registry.domain import WHOLE_ACCOUNT, Attempts, Certificate
from services.registry.log import appending
from services.registry.log.appending import Arrival
from transparency.commitments import SALT_BYTES

log = structlog.get_logger()


class Arrivals(Protocol):
    """When a certificate arrived, and the salt of its leaves: now and by chance, or as it was told when it was so."""

    def of(self, certificate: Certificate) -> Arrival: ...


def draw_salt() -> bytes:
    return os.urandom(SALT_BYTES)


@dataclass(frozen=True)
class Arriving:
    """Certificates that arrive now."""

    clock: Clock
    draw: Callable[[], bytes] = draw_salt

    def of(self, certificate: Certificate) -> Arrival:
        # Clocks differ. A registration before its issue would be a finding for ever.
        return Arrival(max(self.clock.now(), certificate.issued_at), self.draw())


@dataclass(frozen=True)
class Registering:
    """What the handlers need besides a transaction."""

    clock: Clock
    outbox: Outbox
    limits: domain.Limits
    arrivals: Arrivals
    #: Pepper by its id, which every certificate names.
    peppers: Mapping[str, bytes] = field(repr=False)
    #: How long a browser that gave number and key may read on.
    open_for: timedelta = timedelta(minutes=30)
    #: Salts of views.
    draw: Callable[[], bytes] = draw_salt


@dataclass(frozen=True)
class Asked:
    """Somebody asks for a certificate, with number and key as they were typed."""

    number_typed: str
    key_typed: str = field(repr=False)
    principal: Principal
    #: Of the request.
    cause: Cause

    @cached_property
    def number(self) -> str:
        return contract_number.normalise(self.number_typed)

    @property
    def key(self) -> str:
        return authentication_key.normalise(self.key_typed)

    @cached_property
    def subject(self) -> bytes:
        """What is counted of the number: what was typed is not kept."""
        return hashlib.sha256(self.number.encode()).digest()


@dataclass(frozen=True)
class Look:
    """Somebody is shown a certificate."""

    asked: Asked
    #: The latest first.
    versions: Sequence[Record]

    @property
    def latest(self) -> Record:
        return self.versions[0]


class PlaceDiffers(Exception):
    """A leaf that was told to be at one place of the log would get another one."""


async def register_certificates(
    tx: Transaction, batch: Sequence[Received[CertificateIssued]], *, registering: Registering
) -> None:
    """Record certificates and tell when they arrived. A repeat changes nothing and tells nothing.

    When `tx` commits, purchasers can see them: the time told is our clock's, 電子保証発行日時 (HIS-2), and each has its
    two leaves in the log, in the order of the batch.
    """
    checked = [(check(received.event, recorded_of(received.event)), received.cause) for received in batch]
    if any(one.certificate.pepper_id not in registering.peppers for one, _ in checked):
        raise Refused("pepper_is_unknown")
    await register_checked(tx, checked, registering=registering)


async def register_checked(
    tx: Transaction, batch: Sequence[tuple[Checked, Cause]], *, registering: Registering
) -> None:
    """As `register_certificates`, each with its cause, of what `check` has let pass and whose pepper is known."""
    # Step 6: certificate row, leaves and announcement, in one transaction.
    by_id = {one.certificate.certificate_id: (one, cause) for one, cause in batch}
    arrivals = {identity: registering.arrivals.of(one.certificate) for identity, (one, _) in by_id.items()}
    added = await store.add_certificates(
        tx, [(one.certificate, arrivals[identity].registered_at) for identity, (one, _) in by_id.items()]
    )
    repeats = [
        one.certificate
        for one, _ in batch
        if (identity := one.certificate.certificate_id) not in added or one is not by_id[identity][0]
    ]
    await _check_repeats(tx, repeats)
    new = [(one, cause, arrivals[identity]) for identity, (one, cause) in by_id.items() if identity in added]
    # The log's lock is the last one: from here on others wait for us, and we for nobody.
    places = await appending.append_registrations(tx, [(*one, arrival) for one, _, arrival in new])
    told = [
        (_registered(one.certificate, arrival, places[one.certificate.certificate_id]), cause)
        for one, cause, arrival in new
    ]
    await registering.outbox.add(tx, told)


async def replay_views(tx: Transaction, viewed: Sequence[CertificateViewed]) -> None:
    """Record views as they were told, in this order, without telling them again. A repeat changes nothing.

    The accounts must be there. Raises `PlaceDiffers` where the log would not be what it was; one that was told without
    a place (before there was a log, or before its certificate was in it) is recorded without a leaf.
    """
    added = await store.add_views(tx, viewed)
    placed = [each for each in viewed if each.view_id in added and each.leaf_index is not None]
    places = await appending.append_views(tx, [(each, base64.b64decode(each.salt or "")) for each in placed])
    if any(places.get(each.view_id) != each.leaf_index for each in placed):
        raise PlaceDiffers("view")


async def find(
    tx: Transaction, asked: Sequence[Asked], *, registering: Registering
) -> list[Sequence[Record] | Problem]:
    """Every version of each certificate, the latest first: for the purchaser it is made out to, who has number and key.

    A wrong key, an unknown number and another purchaser's certificate all get the same answer after the same work.
    The problem is returned, not raised: the count of the failure must be committed. In the order asked, as if one after
    the other, with a fixed number of statements.
    """
    if not asked:
        return []
    now = registering.clock.now()
    subjects = {(each.principal.account_id, subject) for each in asked for subject in (WHOLE_ACCOUNT, each.subject)}
    counted = await store.lock_attempts(tx, subjects, now)
    attempts = Attempts(counted, now=now, limits=registering.limits)
    numbers = {each.number for each in asked if contract_number.FORMAT.fullmatch(each.number)}
    versions = await store.certificates(tx, numbers)
    found = [_find(each, versions.get(each.number, ()), attempts, registering) for each in asked]
    if changed := attempts.changed:
        await store.keep_attempts(tx, changed)
    accounts = {account for account, _ in subjects}
    await store.forget_attempts(tx, accounts, now - registering.limits.window)
    return found


def _find(
    asked: Asked, versions: Sequence[Record], attempts: Attempts, registering: Registering
) -> Sequence[Record] | Problem:
    account = asked.principal.account_id
    wait = attempts.count(account, asked.subject)
    if wait is not None:
        return _throttled(wait)
    latest = versions[0] if versions else None
    pepper = registering.peppers.get(latest["pepper_id"]) if latest else None
    digest = authentication_key.digest(pepper or next(iter(registering.peppers.values())), asked.number, asked.key)
    fits = domain.key_fits(
        latest["key_digest"] if latest and pepper else None,
        digest,
        is_for_this_purchaser=latest is not None and latest["purchaser_id"] == asked.principal.subject_id,
    )
    if not fits:
        return _not_found()
    attempts.uncount(account, asked.subject)
    return versions


async def record_looks(tx: Transaction, looks: Sequence[Look], *, registering: Registering) -> list[CertificateViewed]:
    """Record that certificates were found and are shown. The last that a transaction does: who appends waits for it."""
    if not looks:
        return []
    viewed = await _record_views(tx, looks, registering)
    await _tell_views(tx, viewed, looks, registering)
    return viewed


async def open_certificate(
    tx: Transaction,
    asked: Asked,
    *,
    session: bytes,
    registering: Registering,
) -> Problem | None:
    """`find` and record; this browser may then read on without the key for a while, and no other may.

    One look with number and key is one view, however often its pages and files are fetched afterwards; giving the key
    again is another view, and the while begins anew.
    """
    (found,) = await find(tx, [asked], registering=registering)
    if isinstance(found, Problem):
        log_look(found)
        return found
    looks = [Look(asked, found)]
    (viewed,) = recorded = await _record_views(tx, looks, registering)
    now = registering.clock.now()
    await store.close_old(tx, session, now - registering.open_for)
    await store.open_for_session(tx, session, viewed.contract_number, viewed.view_id, now)
    # After the rows of the session: a person who signs out meanwhile must not keep the whole log waiting.
    await _tell_views(tx, recorded, looks, registering)
    log_look(viewed)
    return None


def log_look(found: CertificateViewed | Problem) -> None:
    """Say how a look-up ended, as part of its request."""
    if isinstance(found, CertificateViewed):
        log.info("certificate.viewed", certificate_id=str(found.certificate_id))
    elif found.status == HTTPStatus.NOT_FOUND:
        WRONG_SECRETS.labels("key", "wrong").inc()
        log.info("lookup.failed")
    elif found.status == HTTPStatus.TOO_MANY_REQUESTS:
        WRONG_SECRETS.labels("key", "too_often").inc()


async def _check_repeats(tx: Transaction, repeats: Sequence[Certificate]) -> None:
    """A repeat must be the same certificate: anything else is another under the same id, and refused."""
    if not repeats:
        return
    recorded = await store.hashes(tx, [one.certificate_id for one in repeats])
    for one in repeats:
        if recorded[one.certificate_id] != (one.content_sha256, one.key_digest):
            MUST_NEVER.labels("certificate_issued_twice").inc()
            raise Refused("certificate_differs_from_recorded")


async def _record_views(tx: Transaction, looks: Sequence[Look], registering: Registering) -> list[CertificateViewed]:
    # Step 10: views, their leaves and their announcements, in one transaction.
    viewed = [
        CertificateViewed(
            view_id=uuid7(),
            certificate_id=look.latest["certificate_id"],
            contract_number=look.latest["contract_number"],
            version=look.latest["version"],
            application_id=look.latest["application_id"],
            purchaser_id=look.latest["purchaser_id"],
            viewed_by=look.asked.principal.account_id,
            viewed_at=max(registering.clock.now(), look.latest["registered_at"]),
        )
        for look in looks
    ]
    await store.add_views(tx, viewed)
    return viewed


async def _tell_views(
    tx: Transaction, viewed: Sequence[CertificateViewed], looks: Sequence[Look], registering: Registering
) -> None:
    salts = [registering.draw() for _ in viewed]
    in_log = {look.latest["certificate_id"] for look in looks if look.latest["is_in_log"]}
    places = await appending.append_views(tx, list(zip(viewed, salts, strict=True)), in_log=in_log)
    told = [
        each.model_copy(update={"leaf_index": places[each.view_id], "salt": base64.b64encode(salt).decode()})
        if each.view_id in places
        else each
        for each, salt in zip(viewed, salts, strict=True)
    ]
    await registering.outbox.add(tx, [(each, look.asked.cause) for each, look in zip(told, looks, strict=True)])


def _registered(certificate: Certificate, arrival: Arrival, leaf_index: int) -> CertificateRegistered:
    return CertificateRegistered(
        certificate_id=certificate.certificate_id,
        contract_number=certificate.contract_number,
        version=certificate.version,
        change_number=certificate.change_number,
        application_id=certificate.application_id,
        product=certificate.product,
        surety_id=certificate.surety_id,
        purchaser_id=certificate.purchaser_id,
        content_sha256=certificate.content_sha256,
        registered_at=arrival.registered_at,
        leaf_index=leaf_index,
        salt=base64.b64encode(arrival.salt).decode(),
    )


def _not_found() -> Problem:
    return Problem(
        404,
        "not-found",
        "No certificate for this number and key.",
        detail="保証契約番号または認証キーが正しくないか、照会できない電子証書です。",
    )


def _throttled(wait_seconds: int) -> Problem:
    return Problem(
        429,
        "too-many-attempts",
        "Too many failed look-ups.",
        detail=f"照会の失敗が続いたため、しばらく照会できません。{wait_seconds}秒後にもう一度お試しください。",
        headers={"Retry-After": str(wait_seconds)},
    )
