"""How does something become a leaf? In the transaction that makes it true, one transaction after the other."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from chassis.postgres import Transaction
from schemas.views import CertificateViewed
from services.registry.domain import Certificate
from services.registry.log import documents, store
from transparency.commitments import commitment, commitment_of
from transparency.leaves import CERTIFICATE, Document
from transparency.merkle import Frontier, leaf_hash


@dataclass(frozen=True)
class Arrival:
    """What of a registration no other event tells: when, and the 32 random bytes of its leaves."""

    registered_at: datetime
    salt: bytes


class NewLeaf(NamedTuple):
    """A leaf that has no place yet."""

    kind: str
    subject: UUID
    salt: bytes
    commitment: bytes


async def append_registrations(
    tx: Transaction, arrived: Sequence[tuple[Certificate, bytes, Arrival]]
) -> dict[UUID, int]:
    """Certificate id → index of its certificate leaf; the registration's is the next one. In the order given, each with
    the canonical document of its certificate leaf.

    Takes the last lock of `tx`: whoever appends waits until it ends. Two statements, however many.
    """
    if not arrived:
        return {}
    new = [leaf for one in arrived for leaf in _leaves(*one)]
    head = await store.lock_head(tx)
    await _append(tx, head, new)
    return {certificate.certificate_id: head.size + 2 * n for n, (certificate, _, _) in enumerate(arrived)}


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
    await _append(tx, head, [_leaf(event.view_id, documents.of_viewed(event), salt) for event, salt in shown])
    return {event.view_id: head.size + n for n, (event, _) in enumerate(shown)}


async def append_old_certificates(tx: Transaction, certificate_ids: Sequence[UUID], salts: Iterable[bytes]) -> None:
    """Leaves of certificates whose events tell no place. Those that have theirs by now are left out."""
    head = await store.lock_head(tx)
    rows = await store.old_certificates(tx, certificate_ids)
    await _append(
        tx,
        head,
        [
            _leaf(row["certificate_id"], document, salt)
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
        [_leaf(row["view_id"], documents.of_view(**dict(row)), salt) for row, salt in zip(rows, salts, strict=False)],
    )


def _leaves(certificate: Certificate, document: bytes, arrival: Arrival) -> tuple[NewLeaf, NewLeaf]:
    registration = documents.of_registration(
        certificate_id=certificate.certificate_id,
        contract_number=certificate.contract_number,
        version=certificate.version,
        content_sha256=certificate.content_sha256,
        registered_at=arrival.registered_at,
    )
    salt = documents.salt_of(arrival.salt, CERTIFICATE)
    return (
        NewLeaf(CERTIFICATE, certificate.certificate_id, salt, commitment_of(salt, document)),
        _leaf(certificate.certificate_id, registration, arrival.salt),
    )


def _leaf(subject: UUID, document: Document, event_salt: bytes) -> NewLeaf:
    """Its own salt is derived from that of its event."""
    kind = document["type"]
    salt = documents.salt_of(event_salt, kind)
    return NewLeaf(kind, subject, salt, commitment(salt, document))


async def _append(tx: Transaction, head: Frontier, new: Sequence[NewLeaf]) -> None:
    """`head` was locked by this transaction."""
    if not new:
        return
    grown, gained = head.extend([leaf_hash(leaf.commitment) for leaf in new])
    await store.append(tx, grown, gained, [store.StoredLeaf(index, *leaf) for index, leaf in enumerate(new, head.size)])
