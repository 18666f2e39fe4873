"""The documents that the log commits to. Whoever has the events builds the very same ones.

Each kind has a closed set of fields, all of them texts and whole numbers: another field is another `type`, for a
document that reads otherwise has another commitment.
"""

import inspect
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from transparency.errors import WrongField

Document = dict[str, Any]

CERTIFICATE: Final = "certificate"
REGISTRATION: Final = "registration"
VIEW: Final = "view"

_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_TIME: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z")
_CODE: Final = re.compile(r"[^\x00-\x1f\x7f]{1,64}")
_FORMS: Final = {
    "certificate_id": _UUID,
    "application_id": _UUID,
    "view_id": _UUID,
    "viewed_by": _UUID,
    "content_sha256": _SHA256,
    "key_digest": _SHA256,
    "issued_at": _TIME,
    "registered_at": _TIME,
    "viewed_at": _TIME,
}


def utc_text(moment: datetime) -> str:
    """RFC 3339 in UTC with microseconds: one text for one moment, and texts sort as moments do."""
    if moment.tzinfo is None:
        raise ValueError("a moment without a time zone")
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def certificate_leaf(
    *,
    certificate_id: str,
    contract_number: str,
    version: int,
    change_number: int,
    application_id: str,
    product: str,
    surety_id: str,
    purchaser_id: str,
    content_sha256: str,
    key_digest: str,
    pepper_id: str,
    issued_at: str,
) -> Document:
    """電子証書: the certificate with this content exists, and this is the digest of the key that opens it."""
    return _checked(CERTIFICATE, locals())


def registration_leaf(
    *, certificate_id: str, contract_number: str, version: int, content_sha256: str, registered_at: str
) -> Document:
    """The purchaser can view it from `registered_at` on: 電子保証発行日時."""
    return _checked(REGISTRATION, locals())


def view_leaf(
    *,
    view_id: str,
    certificate_id: str,
    contract_number: str,
    version: int,
    purchaser_id: str,
    viewed_by: str,
    viewed_at: str,
) -> Document:
    """A purchaser's person opened it."""
    return _checked(VIEW, locals())


_BUILDERS: Final[Mapping[str, Callable[..., Document]]] = {
    CERTIFICATE: certificate_leaf,
    REGISTRATION: registration_leaf,
    VIEW: view_leaf,
}
_FIELDS: Final = {kind: frozenset(inspect.signature(builder).parameters) for kind, builder in _BUILDERS.items()}


def check(document: Mapping[str, Any]) -> str | None:
    """The kind of a document; None when it is not known here. Raises `WrongField` when it is and a field is wrong."""
    kind = document.get("type")
    if not isinstance(kind, str) or not kind:
        raise WrongField("type", "is not a text")
    if kind not in _BUILDERS:
        return None
    fields = {name: value for name, value in document.items() if name != "type"}
    for name in sorted(_FIELDS[kind] ^ set(fields)):
        raise WrongField(name, "is missing" if name in _FIELDS[kind] else f"does not belong to a {kind}")
    _BUILDERS[kind](**fields)
    return kind


def _checked(kind: str, fields: Mapping[str, Any]) -> Document:
    for name, value in fields.items():
        if name in {"version", "change_number"}:
            if isinstance(value, bool) or not isinstance(value, int) or value < 0:
                raise WrongField(name, f"is {value!r}, not a whole number")
        elif not isinstance(value, str) or _FORMS.get(name, _CODE).fullmatch(value) is None:
            raise WrongField(name, f"is {value!r}, which is not its form"[:120])
    return {"type": kind, **fields}
