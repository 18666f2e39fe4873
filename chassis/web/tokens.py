"""Who is asking? A bearer token (RFC 6750) speaks for one person of one contractor, surety or purchaser.

Only the SHA-256 of a token is stored: 256 random bits need no slow hash.
"""

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from starlette.requests import Request
from structlog.contextvars import bind_contextvars

from chassis.postgres import Transaction
from chassis.web.problems import Problem

PREFIX: Final = "akashi_"

INSERT_ACCOUNT = "INSERT INTO account (id, role, subject_id, person) VALUES ($1, $2, $3, $4)"
SELECT_ACCOUNTS = """
SELECT id, role, subject_id, person, created_at, disabled_at FROM account ORDER BY created_at, id
"""
DISABLE_ACCOUNT = "UPDATE account SET disabled_at = now() WHERE id = $1 AND disabled_at IS NULL RETURNING id"
INSERT_TOKEN = """
INSERT INTO token (sha256, account_id, label, scopes, expires_at) VALUES ($1, $2, $3, $4, $5)
"""
SELECT_TOKENS = """
SELECT encode(substring(sha256 FROM 1 FOR 4), 'hex') AS short, account_id, label, scopes, expires_at, revoked_at
FROM token ORDER BY created_at
"""
REVOKE_TOKENS = """
UPDATE token SET revoked_at = now() WHERE account_id = $1 AND revoked_at IS NULL RETURNING 1
"""
SELECT_PRINCIPALS = """
SELECT token.sha256, account.id, account.role, account.subject_id, account.person, token.scopes
FROM token JOIN account ON account.id = token.account_id
WHERE token.sha256 = ANY($1::bytea[]) AND token.expires_at > $2 AND token.revoked_at IS NULL
    AND account.disabled_at IS NULL
"""


def declare(document: dict[str, Any]) -> None:
    """Say in an OpenAPI document that whatever may answer 401 needs a token."""
    asking = [
        operation
        for operations in document["paths"].values()
        for operation in operations.values()
        if "401" in operation["responses"]
    ]
    for operation in asking:
        operation["security"] = [{"token": []}]
    if asking:
        scheme = {"type": "http", "scheme": "bearer", "description": "Made by `akashi tokens issue`."}
        document["components"]["securitySchemes"] = {"token": scheme}


@dataclass(frozen=True)
class Principal:
    """The person behind a request, as the token says; never as the body says."""

    account_id: UUID
    role: str
    #: The contractor, surety or purchaser the person acts for.
    subject_id: str
    person: str
    scopes: frozenset[str]


def draw_token() -> str:
    return PREFIX + secrets.token_urlsafe(32)


def digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


async def add_account(tx: Transaction, account_id: UUID, *, role: str, subject_id: str, person: str) -> None:
    await tx.execute(INSERT_ACCOUNT, account_id, role, subject_id, person)


async def add_token(
    tx: Transaction, account_id: UUID, *, label: str, scopes: Sequence[str], expires_at: datetime
) -> str:
    """Make a token and return it: the only time it is seen."""
    token = draw_token()
    await tx.execute(INSERT_TOKEN, digest(token), account_id, label, list(scopes), expires_at)
    return token


def token_of(request: Request) -> str:
    """The bearer token of a request; empty when there is none."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


async def principals(
    tx: Transaction, tokens: Sequence[str], *, role: str, scope: str, now: datetime
) -> list[Principal | Problem]:
    """Of each token the person, or Problem 401 where it is not valid, 403 where it may not do this. One statement,
    however many.
    """
    digests = [digest(token) for token in tokens]
    rows = {row["sha256"]: row for row in await tx.fetch(SELECT_PRINCIPALS, digests, now)}
    return [_may(rows.get(each), role, scope) for each in digests]


async def authenticate(tx: Transaction, request: Request, *, role: str, scope: str, now: datetime) -> Principal:
    """The person whose token the request bears. Problem 401 without a valid one, 403 for one that may not do this."""
    (principal,) = await principals(tx, [token_of(request)], role=role, scope=scope, now=now)
    if isinstance(principal, Problem):
        raise principal
    speak_for(principal)
    return principal


def speak_for(principal: Principal) -> None:
    """Name the person in what this request logs."""
    bind_contextvars(account_id=str(principal.account_id))


def _may(row: Any, role: str, scope: str) -> Principal | Problem:
    if row is None:
        return Problem(
            401,
            "unauthorized",
            "A valid access token is needed.",
            headers={"WWW-Authenticate": 'Bearer realm="akashi"'},
        )
    if row["role"] != role or scope not in row["scopes"]:
        return Problem(403, "forbidden", "This token does not allow that.")
    return Principal(row["id"], row["role"], row["subject_id"], row["person"], frozenset(row["scopes"]))
