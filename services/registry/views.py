"""What a purchaser's person may read: certificates that are open in this browser, and the person's own looks."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from chassis.postgres import Transaction
from chassis.web.tokens import Principal
from schemas.certificates import CertificateContent
from services.registry import store
from services.registry.domain import standing
from services.registry.handlers import Registering
from services.registry.log import documents
from services.registry.log.proving import Proof, prove

PER_PAGE: Final = 20
#: 最近照会した電子証書: how many, out of how many looks.
RECENT: Final = 5
RECENT_OUT_OF: Final = 200


@dataclass(frozen=True)
class Version:
    """One version of a certificate, as it will read for ever."""

    certificate_id: UUID
    surety_id: str
    content: CertificateContent
    content_sha256: str
    #: 電子保証発行日時
    registered_at: datetime

    @property
    def number(self) -> int:
        return self.content.version

    @property
    def kind(self) -> str:
        return self.content.kind

    @property
    def change_number(self) -> int:
        return self.content.change_number

    async def proof(self, tx: Transaction) -> Proof | None:
        """That its registration is in the log; None for the seconds until a checkpoint covers it."""
        registration = documents.of_registration(
            certificate_id=self.certificate_id,
            contract_number=self.content.contract_number,
            version=self.number,
            content_sha256=self.content_sha256,
            registered_at=self.registered_at,
        )
        return await prove(tx, self.certificate_id, registration)


@dataclass(frozen=True)
class Opened:
    """A certificate that was opened with number and key in this browser."""

    #: What stands of its history, newest first.
    history: Sequence[Version]
    #: What the look showed; by now another version may be the latest.
    looked_at: Version
    view_id: UUID
    viewed_at: datetime
    closes_at: datetime

    def version(self, number: int | None) -> Version | None:
        """The latest when no number is given; None for one that does not stand."""
        return next((each for each in self.history if number in (None, each.number)), None)

    async def proof_of_look(self, tx: Transaction, *, principal: Principal) -> Proof | None:
        """That the look itself is in the log."""
        view = documents.of_view(
            view_id=self.view_id,
            certificate_id=self.looked_at.certificate_id,
            contract_number=self.looked_at.content.contract_number,
            version=self.looked_at.number,
            purchaser_id=principal.subject_id,
            viewed_by=principal.account_id,
            viewed_at=self.viewed_at,
        )
        return await prove(tx, self.view_id, view)


@dataclass(frozen=True)
class Look:
    """Somebody looked at a certificate."""

    viewed_at: datetime
    contract_number: str
    product: str
    works_name: str
    #: The key need not be given again yet.
    is_open: bool


@dataclass(frozen=True)
class Looks:
    """A page of a person's looks, newest first."""

    items: Sequence[Look]
    page: int
    pages: int
    count: int


async def opened(
    tx: Transaction, number: str, *, principal: Principal, session: bytes, registering: Registering
) -> Opened | None:
    """The certificate, if this browser opened it lately and it is made out to the person's purchaser; else None."""
    since = registering.clock.now() - registering.open_for
    row = await store.opened(tx, session, principal.account_id, principal.subject_id, number=number, since=since)
    if row is None:
        return None
    versions = [
        Version(
            certificate_id=each["certificate_id"],
            surety_id=each["surety_id"],
            content=CertificateContent.model_validate_json(each["content"]),
            content_sha256=each["content_sha256"],
            registered_at=each["registered_at"],
        )
        for each in (await store.certificates(tx, [number]))[number]
        # A later version may be made out to another.
        if each["purchaser_id"] == principal.subject_id
    ]
    return Opened(
        history=standing(versions),
        looked_at=next(each for each in versions if each.certificate_id == row["certificate_id"]),
        view_id=row["view_id"],
        viewed_at=row["viewed_at"],
        closes_at=row["opened_at"] + registering.open_for,
    )


async def recent(tx: Transaction, *, principal: Principal, session: bytes, registering: Registering) -> list[Look]:
    """The certificates that this person looked at last, each once."""
    since = registering.clock.now() - registering.open_for
    rows = await store.looked_at(tx, principal.account_id, session, since=since, limit=RECENT, back=RECENT_OUT_OF)
    return [Look(**dict(row)) for row in rows]


async def looks(tx: Transaction, page: int, *, principal: Principal, session: bytes, registering: Registering) -> Looks:
    """A page of this person's own looks; the last one for a page beyond it."""
    count = await store.count_looks(tx, principal.account_id)
    pages = max(1, -(-count // PER_PAGE))
    page = min(max(1, page), pages)
    since = registering.clock.now() - registering.open_for
    rows = await store.looks(
        tx, principal.account_id, session, since=since, limit=PER_PAGE, offset=(page - 1) * PER_PAGE
    )
    return Looks(items=[Look(**dict(row)) for row in rows], page=page, pages=pages, count=count)
