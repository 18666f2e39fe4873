"""How does something become a leaf? In the transaction that makes it true, one transaction after the other."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from chassis.postgres import Transaction
from schemas.certificates import CertificateIssued
from schemas.views import CertificateViewed
from services.registry.log import documents, store
from transparency.commitments import commitment
from transparency.leaves import Document
from transparency.merkle import Frontier, leaf_hash


@dataclass(frozen=True)
class Arrival:
    """What of a registration no other event tells: when, and the 32 random bytes of its leaves."""

    registered_at: datetime
    salt: bytes


@dataclass(frozen=True)
class NewLeaf:
    """A leaf that has no place yet."""

    subject: UUID
    document: Document
    #: Of its event: the leaf's own is derived from it.
    event_salt: bytes


async def append_registrations(
    tx: Transaction, arrived: Sequence[tuple[CertificateIssued, Document, Arrival]]
) -> dict[UUID, int]:
    """Certificate id → index of its certificate leaf; the registration's is the next one. In the order given, each with
    the document of its certificate leaf.

    Takes the last lock of `tx`: whoever appends waits until it ends. Two statements, however many.
    """
    if not arrived:
        return {}
    grown = await _append(tx, await store.lock_head(tx), [leaf for one in arrived for leaf in _leaves(*one)])
    first = grown - 2 * len(arrived)
    return {event.certificate_id: first + 2 * n for n, (event, _, _) in enumerate(arrived)}


async def append_views(
    tx: Transaction, viewed: Sequence[tuple[CertificateViewed, bytes]], *, in_log: Collection[UUID] = ()
) -> dict[UUID, int]:
    """View id → index of its leaf, in the order given, each with the salt of its event. Three statements, or two where
    all certificates are known to be in the log.

    A view of a certificate that is older than the log and not in it yet is left out: `catching_up` appends both, in
    their order.
    """
    if not viewed:
        return {}
    head = await store.lock_head(tx)
    known = set(in_log)
    if asked := {event.certificate_id for event, _ in viewed} - known:
        # Under the lock: what is in the log now has its place before ours.
        known |= await store.registered(tx, list(asked))
    shown = [(event, salt) for event, salt in viewed if event.certificate_id in known]
    await _append(tx, head, [NewLeaf(event.view_id, documents.of_viewed(event), salt) for event, salt in shown])
    return {event.view_id: head.size + n for n, (event, _) in enumerate(shown)}


async def append_old_certificates(tx: Transaction, certificate_ids: Sequence[UUID], salts: Iterable[bytes]) -> None:
    """Leaves of certificates whose events tell no place. Those that have theirs by now are left out."""
    head = await store.lock_head(tx)
    rows = await store.old_certificates(tx, certificate_ids)
    await _append(
        tx,
        head,
        [
            NewLeaf(row["certificate_id"], document, salt)
            for row, salt in zip(rows, salts, strict=False)
            for document in (documents.of_certificate(row), documents.of_registered(row))
        ],
    )


async def append_old_views(tx: Transaction, view_ids: Sequence[UUID], salts: Iterable[bytes]) -> None:
    """As `append_old_certificates`, of views."""
    head = await store.lock_head(tx)
    rows = await store.old_views(tx, view_ids)
    await _append(
        tx,
        head,
        [NewLeaf(row["view_id"], documents.of_view(**dict(row)), salt) for row, salt in zip(rows, salts, strict=False)],
    )


def _leaves(event: CertificateIssued, document: Document, arrival: Arrival) -> tuple[NewLeaf, NewLeaf]:
    registration = documents.of_registration(
        certificate_id=event.certificate_id,
        contract_number=event.contract_number,
        version=event.version,
        content_sha256=event.content_sha256,
        registered_at=arrival.registered_at,
    )
    return (
        NewLeaf(event.certificate_id, document, arrival.salt),
        NewLeaf(event.certificate_id, registration, arrival.salt),
    )


async def _append(tx: Transaction, head: Frontier, new: Sequence[NewLeaf]) -> int:
    """The new size. `head` was locked by this transaction."""
    if not new:
        return head.size
    stored = []
    for index, leaf in enumerate(new, head.size):
        kind = leaf.document["type"]
        salt = documents.salt_of(leaf.event_salt, kind)
        stored.append(store.StoredLeaf(index, kind, leaf.subject, salt, commitment(salt, leaf.document)))
    grown, gained = head.extend([leaf_hash(leaf.commitment) for leaf in stored])
    await store.append(tx, grown, gained, stored)
    return grown.size
