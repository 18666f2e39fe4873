"""Who may use the pages: people of contractors (受注者), sureties (保証会社) and purchasers (発注者), and their tokens.

A person has an account in the database of the service that they sign in to. Only a token's hash is kept.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import uuid_utils.compat
from pydantic import ValidationError

from chassis.web import passwords, sessions, tokens
from console import store
from console.environment import Stack, find_reference
from console.output import is_visible
from deploy.local.problem import Problem
from reference.errors import UnknownPurchaser, UnknownSurety
from schemas.applications import Contractor

#: The services that people sign in to, each with the role of its people.
ROLES: Final[Mapping[str, str]] = {"intake": "contractor", "issuer": "desk", "registry": "purchaser"}
#: What a token of each role may do.
SCOPES: Final[Mapping[str, Sequence[str]]] = {
    "contractor": ("applications", "guarantees"),
    "desk": ("desk",),
    "purchaser": ("lookup",),
}

LOGIN: Final = re.compile(r"[A-Za-z0-9._@-]{4,64}")
_ID: Final = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_LONGEST_ID: Final = 64
_LONGEST_PERSON: Final = 200


@dataclass(frozen=True)
class Account:
    """A person who may sign in to one service."""

    id: UUID
    service: str
    role: str
    #: Contractor, surety or purchaser.
    subject: str
    person: str
    disabled_at: datetime | None = None


def contractor_id(text: str) -> str:
    """An id as reference data writes them. `Problem` for any other."""
    if len(text) > _LONGEST_ID or not _ID.fullmatch(text):
        raise Problem(
            f'"{text[:80]}" is no contractor id: use small letters, digits and single hyphens, a letter first, '
            f"at most {_LONGEST_ID} in all."
        )
    return text


def person_name(text: str) -> str:
    """A person's name on one line. `Problem` for none."""
    name = text.strip()
    if not name or len(name) > _LONGEST_PERSON or not all(map(is_visible, name)):
        raise Problem(f"A person's name is one line of 1 to {_LONGEST_PERSON} characters: correct --person.")
    return name


def known_surety(surety_id: str) -> str:
    reference = find_reference()
    try:
        return reference.surety(surety_id).id
    except UnknownSurety:
        raise _unknown("surety", surety_id, reference.sureties) from None


def known_purchaser(purchaser_id: str) -> str:
    reference = find_reference()
    try:
        return reference.purchaser(purchaser_id).id
    except UnknownPurchaser:
        raise _unknown("purchaser", purchaser_id, reference.purchasers) from None


def _unknown(what: str, wanted: str, known: Mapping[str, object]) -> Problem:
    return Problem(f'Reference data has no {what} "{wanted[:80]}": choose one of {", ".join(sorted(known))}.')


def complete_contractor(
    identity: str, name: str | None, address: str | None, representative: str | None
) -> Contractor | None:
    """A contractor to be registered; None when only the id was given. `Problem` when half is missing or too long."""
    given = {"name": name, "address": address, "representative": representative}
    if not any(given.values()):
        return None
    if missing := [f"--{option}" for option, value in given.items() if not (value or "").strip()]:
        raise Problem(f"A new contractor needs {', '.join(missing)}, too: an application copies all of it.")
    try:
        return Contractor.model_validate({"id": identity, **{field: (v or "").strip() for field, v in given.items()}})
    except ValidationError as error:
        fields = sorted({f"--{fault['loc'][0]}" for fault in error.errors(include_input=False)})
        raise Problem(f"{', '.join(fields)} can't be used: give one line of 1 to 200 characters.") from None


async def add_contractor(stack: Stack, identity: str, contractor: Contractor | None, person: str) -> Account:
    """Register a contractor, unless it is, and one of its people. Both or neither."""
    account = _new_account("intake", identity, person)
    async with store.connect(stack, "intake") as connection, connection.transaction():
        if contractor is not None:
            await connection.fetchval(
                store.INSERT_CONTRACTOR, identity, contractor.name, contractor.address, contractor.representative
            )
        kept = await connection.fetchrow(store.SELECT_CONTRACTOR, identity)
        if kept is None:
            raise Problem(
                f"Contractor {identity} is not registered yet: give --name, --address and --representative, too."
            )
        if contractor is not None and dict(kept) != contractor.model_dump():
            raise Problem(
                f"Contractor {identity} is registered otherwise ({kept['name']}, {kept['address']}, "
                f"{kept['representative']}): leave these options out to add a person, or choose another --id."
            )
        await _add(connection, account)
    return account


async def add_staff(stack: Stack, surety: str, person: str) -> Account:
    """Let a person of a surety decide at the desk."""
    return await _add_alone(stack, _new_account("issuer", surety, person))


async def add_purchaser(stack: Stack, purchaser: str, person: str) -> Account:
    """Let a person of a purchaser view certificates."""
    return await _add_alone(stack, _new_account("registry", purchaser, person))


async def list_accounts(stack: Stack) -> list[dict[str, Any]]:
    """All people of the three services."""
    found: list[dict[str, Any]] = []
    for service in ROLES:
        async with store.connect(stack, service) as connection:
            found.extend(
                {
                    "id": str(row["id"]),
                    "service": service,
                    "role": row["role"],
                    "subject": row["subject_id"],
                    "person": row["person"],
                    "created_at": row["created_at"],
                    "disabled_at": row["disabled_at"],
                }
                for row in await connection.fetch(tokens.SELECT_ACCOUNTS)
            )
    return found


async def disable(stack: Stack, account_id: UUID) -> Account:
    """Let an account do nothing any more: all its tokens stop at once. A repeat changes nothing."""
    account = await find_account(stack, account_id)
    async with store.connect(stack, account.service) as connection:
        await connection.fetchval(tokens.DISABLE_ACCOUNT, account_id)
    return account


async def find_account(stack: Stack, account_id: UUID, service: str | None = None) -> Account:
    """The account, in whichever of the three services it is. `Problem` where there is none."""
    for candidate in [service] if service else ROLES:
        async with store.connect(stack, candidate) as connection:
            row = await connection.fetchrow(store.SELECT_ACCOUNT, account_id)
        if row is not None:
            return Account(
                row["id"], candidate, row["role"], row["subject_id"], row["person"], disabled_at=row["disabled_at"]
            )
    where = f"in {service}" if service else "in any service"
    raise Problem(f"There is no account {account_id} {where}: look it up with `akashi accounts list`.")


async def _find_enabled(stack: Stack, account_id: UUID, service: str | None = None) -> Account:
    account = await find_account(stack, account_id, service)
    if account.disabled_at is not None:
        raise Problem(f"Account {account_id} is disabled: make another with `akashi accounts`.")
    return account


async def set_sign_in(stack: Stack, account_id: UUID, *, login: str, password: str | None = None) -> str:
    """Let an account sign in on pages by this name; return its password.

    One that is drawn here has to be changed at the first sign-in. Every browser of the account is signed out.
    """
    account = await _find_enabled(stack, account_id)
    if account.role not in SCOPES:
        raise Problem(f"Accounts of role {account.role} have no pages: choose another account.")
    if not LOGIN.fullmatch(login):
        raise Problem(f"{login!r} can't be a log-in: 4 to 64 of a-z, A-Z, 0-9, dot, hyphen, underscore, @.")
    chosen = password or passwords.draw()
    now = datetime.now(UTC)
    stored = await passwords.hashed(chosen)
    async with store.connect(stack, account.service) as connection, connection.transaction():
        if await sessions.is_taken(connection, account_id, login):
            raise Problem(f"The log-in {login} is taken: choose another.")
        await sessions.set_password(
            connection, account_id, login=login, password_hash=stored, must_change=password is None, now=now
        )
        await sessions.end_all(connection, account_id)
    return chosen


async def remove_code(stack: Stack, account_id: UUID) -> None:
    """Let an account sign in on pages by its password alone: the device that showed its codes was lost.

    Every browser of the account is signed out.
    """
    account = await _find_enabled(stack, account_id)
    async with store.connect(stack, account.service) as connection, connection.transaction():
        if account.role not in SCOPES or not await sessions.remove_code(connection, account_id):
            raise Problem(f"Account {account_id} has no log-in: `akashi accounts set-password` gives it one.")
        await sessions.end_all(connection, account_id)


async def issue_token(
    stack: Stack, account_id: UUID, *, label: str, days: int, service: str | None = None
) -> tuple[str, datetime]:
    """A new token of an account, seen this once, and when it expires."""
    account = await _find_enabled(stack, account_id, service)
    if account.role not in SCOPES:
        raise Problem(f"Accounts of role {account.role} have no tokens: choose another account.")
    expires_at = datetime.now(UTC).replace(microsecond=0) + timedelta(days=days)
    async with store.connect(stack, account.service) as connection:
        token = await tokens.add_token(
            connection, account_id, label=label, scopes=SCOPES[account.role], expires_at=expires_at
        )
    return token, expires_at


async def revoke_tokens(stack: Stack, account_id: UUID) -> int:
    """Revoke all tokens of an account; return how many were valid until now."""
    account = await find_account(stack, account_id)
    async with store.connect(stack, account.service) as connection:
        return len(await connection.fetch(tokens.REVOKE_TOKENS, account_id))


async def revoke_token(stack: Stack, short: str) -> int:
    """Revoke the token that `list_tokens` shows as `short`; return how many that were."""
    revoked = 0
    for service in ROLES:
        async with store.connect(stack, service) as connection:
            revoked += len(await connection.fetch(store.REVOKE_TOKEN, short))
    return revoked


async def list_tokens(stack: Stack) -> list[dict[str, Any]]:
    """All tokens of the three services, by the beginning of their hash: nothing here lets anyone in."""
    found: list[dict[str, Any]] = []
    for service in ROLES:
        async with store.connect(stack, service) as connection:
            found.extend(
                {
                    "token": row["short"],
                    "service": service,
                    "account": str(row["account_id"]),
                    "label": row["label"],
                    "scopes": list(row["scopes"]),
                    "expires_at": row["expires_at"],
                    "revoked_at": row["revoked_at"],
                }
                for row in await connection.fetch(tokens.SELECT_TOKENS)
            )
    return found


def _new_account(service: str, subject: str, person: str) -> Account:
    return Account(uuid_utils.compat.uuid7(), service, ROLES[service], subject, person)


async def _add_alone(stack: Stack, account: Account) -> Account:
    async with store.connect(stack, account.service) as connection, connection.transaction():
        await _add(connection, account)
    return account


async def _add(connection: store.Connection, account: Account) -> None:
    await tokens.add_account(
        connection, account.id, role=account.role, subject_id=account.subject, person=account.person
    )
