"""What the documents of the log must not say together, whoever signed them.

Kept in a private temporary SQLite database, so that the memory needed does not grow with the log.
"""

import sqlite3
from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, Final, Self

from transparency import leaves
from transparency.errors import WrongField

CREATE: Final = """
PRAGMA journal_mode = MEMORY;
PRAGMA cache_size = -32768;
CREATE TABLE certificate (
    certificate_id TEXT PRIMARY KEY, leaf INTEGER, contract_number TEXT, version INTEGER, application_id TEXT,
    product TEXT, purchaser_id TEXT, content_sha256 TEXT, issued_at TEXT, registered_at TEXT
) WITHOUT ROWID;
CREATE UNIQUE INDEX certificate_number ON certificate (contract_number, version);
CREATE UNIQUE INDEX certificate_application ON certificate (application_id, product, version);
CREATE TABLE view (view_id TEXT PRIMARY KEY, leaf INTEGER) WITHOUT ROWID;
BEGIN;
"""
ADD_CERTIFICATE: Final = "INSERT OR IGNORE INTO certificate VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, NULL)"
SELECT_CERTIFICATE: Final = """
SELECT leaf, contract_number, version, purchaser_id, content_sha256, issued_at, registered_at
FROM certificate WHERE certificate_id = ?"""
#: Which leaf stands in the way, and which of the three it repeats.
SELECT_RIVAL: Final = """
SELECT leaf, 'certificate_id' FROM certificate WHERE certificate_id = ?1
UNION ALL SELECT leaf, 'contract_number' FROM certificate WHERE contract_number = ?2 AND version = ?3
UNION ALL SELECT leaf, 'application_id' FROM certificate WHERE application_id = ?4 AND product = ?5 AND version = ?3
ORDER BY leaf LIMIT 1"""
REGISTER: Final = "UPDATE certificate SET registered_at = ? WHERE certificate_id = ?"
ADD_VIEW: Final = "INSERT OR IGNORE INTO view VALUES (?, ?)"

RIVALRY: Final = {
    "certificate_id": "is that of the certificate at index {}",
    "contract_number": "and version are those of the certificate at index {}",
    "application_id": "with product and version is that of the certificate at index {}",
}
_SAME: Final = {
    leaves.REGISTRATION: ("contract_number", "version", "content_sha256"),
    leaves.VIEW: ("contract_number", "version", "purchaser_id"),
}


class Rules:
    """Sees the documents in the order of the log and raises `WrongField` at the first that breaks a rule."""

    def __init__(self, *, complete: bool, allowed_skew: timedelta) -> None:
        #: Whether the log is seen from its first leaf: then a certificate that was not seen does not exist.
        self.complete = complete
        self.allowed_skew = allowed_skew
        #: Documents by type; `None` counts the erased.
        self.seen: Counter[str | None] = Counter()
        #: Registrations and views of certificates from before the first leaf that was seen.
        self.of_earlier = 0
        self._database = sqlite3.connect("", isolation_level=None)
        self._database.executescript(CREATE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._database.close()

    def see(self, index: int, document: Mapping[str, Any] | None) -> None:
        if document is None:
            self.seen[None] += 1
            return
        kind = leaves.check(document)
        self.seen[str(document["type"])] += 1
        if kind == leaves.CERTIFICATE:
            self._see_certificate(index, document)
        elif kind is not None:
            self._see_about_certificate(index, kind, document)

    def _see_certificate(self, index: int, document: Mapping[str, Any]) -> None:
        """One certificate for a contract number and version, and for an application, product and version."""
        _moment(document, "issued_at")
        identity = [
            document[name] for name in ("certificate_id", "contract_number", "version", "application_id", "product")
        ]
        others = [document[name] for name in ("purchaser_id", "content_sha256", "issued_at")]
        if self._database.execute(ADD_CERTIFICATE, [identity[0], index, *identity[1:], *others]).rowcount != 1:
            rival, field = self._database.execute(SELECT_RIVAL, identity).fetchone()
            raise WrongField(field, RIVALRY[field].format(rival))

    def _see_about_certificate(self, index: int, kind: str, document: Mapping[str, Any]) -> None:
        """A registration or a view: of a certificate that came before, the same one, and later than it."""
        if kind == leaves.VIEW and self._database.execute(ADD_VIEW, [document["view_id"], index]).rowcount != 1:
            raise WrongField("view_id", "is that of an earlier view")
        row = self._database.execute(SELECT_CERTIFICATE, [document["certificate_id"]]).fetchone()
        if row is None:
            if self.complete:
                raise WrongField("certificate_id", "is of no certificate before this leaf")
            self.of_earlier += 1
            return
        leaf, number, version, purchaser, content, issued_at, registered_at = row
        certificate = {
            "contract_number": number,
            "version": version,
            "purchaser_id": purchaser,
            "content_sha256": content,
        }
        for name in _SAME[kind]:
            if document[name] != certificate[name]:
                raise WrongField(name, f"is not that of the certificate at index {leaf}")
        if kind == leaves.REGISTRATION:
            if registered_at is not None:
                raise WrongField("certificate_id", "is registered a second time")
            self._check_order(document, "registered_at", issued_at, "issue")
            self._database.execute(REGISTER, [document["registered_at"], document["certificate_id"]])
        elif registered_at is None:
            raise WrongField("certificate_id", "is of a certificate that was not registered before it was viewed")
        else:
            self._check_order(document, "viewed_at", registered_at, "registration")

    def _check_order(self, document: Mapping[str, Any], field: str, earlier: str, what: str) -> None:
        # Their difference: what either becomes by adding may be no date any more.
        if datetime.fromisoformat(earlier) - _moment(document, field) > self.allowed_skew:
            raise WrongField(field, f"is before the certificate's {what} at {earlier}")


def _moment(document: Mapping[str, Any], field: str) -> datetime:
    try:
        return datetime.fromisoformat(document[field])
    except ValueError:
        raise WrongField(field, "is no date") from None
