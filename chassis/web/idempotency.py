"""Same key, same answer: how a write that is sent twice has one effect (draft-ietf-httpapi-idempotency-key-header).

Only answers that had an effect are kept; a refused request may be corrected and sent again under its key.
"""

import hashlib
import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from starlette.requests import Request

from chassis.postgres import Transaction
from chassis.web.problems import Problem, not_json

KEY = re.compile(r"[\x21-\x7e]{1,200}")

#: Held until the transaction ends; a second request under the same key does not wait.
TRY_LOCK = "SELECT pg_try_advisory_xact_lock(hashtextextended($1 || chr(31) || $2, 0))"
SELECT = "SELECT fingerprint, status, answer FROM idempotency WHERE contractor_id = $1 AND key = $2"
INSERT = """
INSERT INTO idempotency (contractor_id, key, fingerprint, status, answer, created_at) VALUES ($1, $2, $3, $4, $5, $6)
"""


@dataclass(frozen=True)
class Write:
    """One request that changes something: who may repeat it, and what it says."""

    scope: str
    key: str
    fingerprint: bytes


@dataclass(frozen=True)
class Answer:
    status: int
    body: dict[str, Any]


def write_of(request: Request, *, scope: str, document: Any) -> Write:
    """The write that a request is. Problem 400 without a usable `Idempotency-Key`, or for a bottomless document."""
    key = request.headers.get("idempotency-key", "")
    if not KEY.fullmatch(key):
        raise Problem(
            400,
            "idempotency-key-missing",
            "The header Idempotency-Key is needed: 1 to 200 visible ASCII characters, new for each new request.",
        )
    try:
        canonical = json.dumps([request.method, request.url.path, document], sort_keys=True, separators=(",", ":"))
    except RecursionError:
        # Shallow enough to be read, too deep to be written.
        raise not_json() from None
    return Write(scope, key, hashlib.sha256(canonical.encode()).digest())


async def once(tx: Transaction, write: Write, act: Callable[[], Awaitable[Answer]], *, now: datetime) -> Answer:
    """Act, or give the answer that was given before. Looked at before anything is validated.

    Problem 409 while the first request still runs, 422 when the key was used for something else.
    """
    if not await tx.fetchval(TRY_LOCK, write.scope, write.key):
        raise Problem(
            409,
            "request-in-progress",
            "The same request is being answered just now; ask again for its answer.",
            headers={"Retry-After": "1"},
        )
    stored = await tx.fetchrow(SELECT, write.scope, write.key)
    if stored is not None:
        if stored["fingerprint"] != write.fingerprint:
            raise Problem(422, "idempotency-key-reused", "This Idempotency-Key was used for another request.")
        return Answer(stored["status"], json.loads(stored["answer"]))
    answer = await act()
    await tx.execute(INSERT, write.scope, write.key, write.fingerprint, answer.status, json.dumps(answer.body), now)
    return answer
