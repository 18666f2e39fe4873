"""Same key, same answer: how a write that is sent twice has one effect (draft-ietf-httpapi-idempotency-key-header).

Only answers that had an effect are kept; a refused request may be corrected and sent again under its key.
"""

import hashlib
import json
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from starlette.requests import Request

from chassis.postgres import Transaction
from chassis.web.problems import FieldError, Problem, not_json

KEY = re.compile(r"[\x21-\x7e]{1,200}")
REUSED: Final = "idempotency-key-reused"
#: Of a message whose id, which a key or a form stands for, is another one's.
ANOTHER_TEXT: Final = FieldError(
    "text",
    REUSED,
    "別の内容がすでに送信されています。送信済みの内容をご確認のうえ、必要であればもう一度送信してください。",
    "Another text was sent already. Look at what was sent; if this is needed, too, send it again.",
)

#: Held until the transaction ends; a second request under the same key does not wait.
TRY_LOCKS = """
SELECT pg_try_advisory_xact_lock(hashtextextended(scope || chr(31) || key, 0))
FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS w (scope, key, n) ORDER BY n
"""
# Of these contractors under these keys, also one's under another's: a join with the pairs would read the whole table,
# by a plan that is as old as the table.
SELECT = """
SELECT contractor_id, key, fingerprint, status, answer FROM idempotency
WHERE contractor_id = ANY($1::text[]) AND key = ANY($2::text[])
"""
INSERT = """
INSERT INTO idempotency (contractor_id, key, fingerprint, status, answer, created_at)
SELECT scope, key, fingerprint, status, answer, $6
FROM unnest($1::text[], $2::text[], $3::bytea[], $4::integer[], $5::json[])
    AS w (scope, key, fingerprint, status, answer)
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
    (given,) = await given_before(tx, [write])
    if isinstance(given, Problem):
        raise given
    if given is None:
        given = await act()
        await keep(tx, [(write, given)], now=now)
    return given


async def given_before(tx: Transaction, writes: Sequence[Write]) -> list[Answer | Problem | None]:
    """To each the answer that was given before, or None where this transaction is to give the first one and to `keep`
    it. Two statements, however many.

    Problem 409 while the first request still runs, 422 when the key was used for something else.
    """
    columns = [write.scope for write in writes], [write.key for write in writes]
    locked = await tx.fetch(TRY_LOCKS, *columns)
    stored = {(row["contractor_id"], row["key"]): row for row in await tx.fetch(SELECT, *columns)}
    taken: set[tuple[str, str]] = set()
    given: list[Answer | Problem | None] = []
    for write, (is_ours,) in zip(writes, locked, strict=True):
        name = (write.scope, write.key)
        if not is_ours or name in taken:
            given.append(_in_progress())
        elif name in stored:
            given.append(_again(write, stored[name]))
        else:
            taken.add(name)
            given.append(None)
    return given


async def keep(tx: Transaction, answers: Sequence[tuple[Write, Answer]], *, now: datetime) -> None:
    if not answers:
        return
    await tx.execute(
        INSERT,
        [write.scope for write, _ in answers],
        [write.key for write, _ in answers],
        [write.fingerprint for write, _ in answers],
        [answer.status for _, answer in answers],
        [json.dumps(answer.body) for _, answer in answers],
        now,
    )


def _in_progress() -> Problem:
    return Problem(
        409,
        "request-in-progress",
        "The same request is being answered just now; ask again for its answer.",
        headers={"Retry-After": "1"},
    )


def reused(*errors: FieldError) -> Problem:
    """What was said under the key is something else: nothing is done, and nothing is passed over in silence."""
    return Problem(422, REUSED, "This Idempotency-Key was used for another request.", errors=errors)


def _again(write: Write, stored: Any) -> Answer | Problem:
    if stored["fingerprint"] != write.fingerprint:
        return reused()
    return Answer(stored["status"], json.loads(stored["answer"]))
