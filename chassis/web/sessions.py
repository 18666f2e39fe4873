"""Who is signed in? A cookie holds a random token; what it means is in PostgreSQL, where it can be ended."""

import hashlib
import hmac
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final, Literal
from uuid import UUID

from asyncpg import Record

from chassis.postgres import Transaction, unless_done_meanwhile
from chassis.web.tokens import Principal

#: A browser left alone for so long has to sign in again, and every browser after a day's work.
IDLE: Final = timedelta(minutes=30)
LONGEST: Final = timedelta(hours=12)
#: A password that an operator gave out, until it is changed for an own one.
FIRST_PASSWORD: Final = timedelta(days=14)
#: Failed sign-ins of one login from one address, and of one address, within the window. Nobody is shut out from
#: elsewhere: the login alone is never counted. Of one account that is known, wrong codes, and wrong passwords.
PER_LOGIN: Final = 5
PER_ADDRESS: Final = 60
WINDOW: Final = timedelta(minutes=15)
#: Counts of windows that are over, deleted at each attempt: more than an attempt can add.
MOST_FORGOTTEN: Final = 20

# One that began further ahead than any lasts was begun by a clock that was wrong, and would outlast them all.
# $1 digest, $2 and $3 the earliest beginning and look that still count, $4 the latest beginning
SELECT_SESSION = """
SELECT account.id, account.role, account.subject_id, account.person, session.code_due, session.seen_at,
    sign_in.login, sign_in.must_change, sign_in.totp_confirmed_at IS NOT NULL AS has_totp
FROM session JOIN account ON account.id = session.account_id JOIN sign_in ON sign_in.account_id = account.id
WHERE session.sha256 = $1 AND session.began_at > $2 AND session.seen_at > $3 AND session.began_at <= $4
    AND account.disabled_at IS NULL
"""
UPDATE_SEEN = "UPDATE session SET seen_at = $2 WHERE sha256 = $1"
INSERT_SESSION = """
INSERT INTO session (sha256, account_id, code_due, browser, began_at, seen_at) VALUES ($1, $2, $3, $4, $5, $5)
"""
DELETE_SESSION = "DELETE FROM session WHERE sha256 = $1"
DELETE_OTHERS = "DELETE FROM session WHERE account_id = $1 AND sha256 <> $2"
DELETE_ALL = "DELETE FROM session WHERE account_id = $1"
DELETE_ONE_OF = "DELETE FROM session WHERE account_id = $1 AND encode(sha256, 'hex') LIKE $2 || '%'"
DELETE_OLD = "DELETE FROM session WHERE account_id = $1 AND (began_at <= $2 OR seen_at <= $3)"
SELECT_SESSIONS = """
SELECT left(encode(sha256, 'hex'), 16) AS short, sha256, browser, began_at, seen_at FROM session
WHERE account_id = $1 AND began_at > $2 AND seen_at > $3 ORDER BY seen_at DESC
"""
SELECT_SIGN_IN = """
SELECT account.id, sign_in.password, sign_in.totp_confirmed_at IS NOT NULL AS has_totp,
    sign_in.must_change AND sign_in.changed_at <= $3 AS has_run_out
FROM sign_in JOIN account ON account.id = sign_in.account_id
WHERE sign_in.login = $1 AND account.role = $2 AND account.disabled_at IS NULL
"""
SELECT_OWN = """
SELECT login, password, must_change, totp_nonce, totp_ciphertext, totp_confirmed_at, totp_last_step
FROM sign_in WHERE account_id = $1 FOR UPDATE
"""
SELECT_TAKEN = "SELECT 1 FROM sign_in WHERE login = $2 AND account_id <> $1"
UPDATE_PASSWORD = "UPDATE sign_in SET password = $2, must_change = $3, changed_at = $4 WHERE account_id = $1"
UPSERT_SIGN_IN = """
INSERT INTO sign_in (account_id, login, password, must_change, changed_at) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (account_id) DO UPDATE SET login = $2, password = $3, must_change = $4, changed_at = $5
"""
UPDATE_TOTP = """
UPDATE sign_in SET totp_nonce = $2, totp_ciphertext = $3, totp_confirmed_at = $4 WHERE account_id = $1
"""
UPDATE_STEP = """
UPDATE sign_in SET totp_last_step = $2, totp_confirmed_at = coalesce(totp_confirmed_at, $3) WHERE account_id = $1
"""
# Counts before it is known whether the attempt fails, so that many at once cannot all pass. A window that began further
# ahead than it is long was noted by a clock that was wrong. $1 subject, $2 now, $3 the beginning of the oldest window
# that still counts
COUNT_ATTEMPT = """
INSERT INTO sign_in_attempt (subject, window_began, failures) VALUES ($1, $2, 1)
ON CONFLICT (subject) DO UPDATE SET
    window_began = CASE WHEN sign_in_attempt.window_began <= $3 OR sign_in_attempt.window_began > $2 + ($2 - $3)
        THEN $2 ELSE sign_in_attempt.window_began END,
    failures = CASE WHEN sign_in_attempt.window_began <= $3 OR sign_in_attempt.window_began > $2 + ($2 - $3)
        THEN 1 ELSE sign_in_attempt.failures + 1 END
RETURNING window_began, failures
"""
UNCOUNT_ATTEMPT = "UPDATE sign_in_attempt SET failures = failures - 1 WHERE subject = ANY($1::bytea[])"
# Waits for nobody: whoever holds a row counts it anew. $1 and $2 as far as windows count, $3 at most so many
DELETE_OLD_ATTEMPTS = """
WITH old AS MATERIALIZED (
    SELECT subject FROM sign_in_attempt WHERE window_began <= $1 OR window_began > $2 LIMIT $3 FOR UPDATE SKIP LOCKED)
DELETE FROM sign_in_attempt USING old WHERE sign_in_attempt.subject = old.subject
"""


@dataclass(frozen=True)
class Signed:
    """A person with a session."""

    person: Principal
    login: str
    must_change: bool
    has_totp: bool
    #: Password given, code not yet: nothing but the code's page is open.
    code_due: bool


def digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def draw_token() -> str:
    return secrets.token_urlsafe(32)


def csrf_of(token: str) -> str:
    """What a form must send back: nobody else's page can know it."""
    return hmac.new(token.encode(), b"akashi csrf", hashlib.sha256).hexdigest()


async def find(tx: Transaction, token: str, *, role: str, now: datetime) -> Signed | None:
    row = await tx.fetchrow(SELECT_SESSION, digest(token), now - LONGEST, now - IDLE, now + LONGEST)
    if row is None or row["role"] != role:
        return None
    if now - row["seen_at"] > timedelta(minutes=1):
        # Two requests of one browser may both want to: one of them is enough.
        async with unless_done_meanwhile(tx):
            await tx.execute(UPDATE_SEEN, digest(token), now)
    person = Principal(row["id"], row["role"], row["subject_id"], row["person"], frozenset())
    return Signed(person, row["login"], row["must_change"], row["has_totp"], row["code_due"])


async def begin(tx: Transaction, account_id: UUID, *, code_due: bool, browser: str, now: datetime) -> str:
    """Start a session and return its cookie's value: the only time it is seen here."""
    token = draw_token()
    await tx.execute(DELETE_OLD, account_id, now - LONGEST, now - IDLE)
    await tx.execute(INSERT_SESSION, digest(token), account_id, code_due, browser[:200], now)
    return token


async def end(tx: Transaction, token: str) -> None:
    await tx.execute(DELETE_SESSION, digest(token))


async def end_others(tx: Transaction, account_id: UUID, token: str) -> None:
    await tx.execute(DELETE_OTHERS, account_id, digest(token))


async def end_all(tx: Transaction, account_id: UUID) -> None:
    await tx.execute(DELETE_ALL, account_id)


async def end_one(tx: Transaction, account_id: UUID, short: str) -> None:
    await tx.execute(DELETE_ONE_OF, account_id, short)


async def of_account(tx: Transaction, account_id: UUID, *, now: datetime) -> Sequence[Record]:
    return await tx.fetch(SELECT_SESSIONS, account_id, now - LONGEST, now - IDLE)


async def is_taken(tx: Transaction, account_id: UUID, login: str) -> bool:
    """Whether another account signs in by this name."""
    return bool(await tx.fetchval(SELECT_TAKEN, account_id, login))


async def set_password(
    tx: Transaction, account_id: UUID, *, login: str, password_hash: str, must_change: bool, now: datetime
) -> None:
    """Let an account sign in on pages, from now on with this password."""
    await tx.execute(UPSERT_SIGN_IN, account_id, login, password_hash, must_change, now)


async def remove_code(tx: Transaction, account_id: UUID) -> bool:
    """Let an account in by its password alone; whether it signs in on pages at all."""
    done: str = await tx.execute(UPDATE_TOTP, account_id, None, None, None)
    return done == "UPDATE 1"


def attempt_subjects(address: str, login: str) -> dict[bytes, int]:
    """What signing in is counted under, and how many failures each bears: the address, and the name from there."""
    place = _place_of(address)
    return {
        hashlib.sha256(f"address|{place}".encode()).digest(): PER_ADDRESS,
        hashlib.sha256(f"login|{place}|{login}".encode()).digest(): PER_LOGIN,
    }


def _place_of(address: str) -> str:
    """What one person has: an IPv4 address, or the whole /64 of an IPv6 one."""
    try:
        ip = ip_address(address)
    except ValueError:
        return address
    if isinstance(ip, IPv4Address):
        return str(ip)
    return str(ip.ipv4_mapped or IPv6Address(int(ip) >> 64 << 64))


def own_subject(what: Literal["code", "password"], account_id: UUID) -> dict[bytes, int]:
    """What an attempt of an account that is known is counted under, wherever it is made: nobody else's."""
    return {hashlib.sha256(f"account|{what}|{account_id}".encode()).digest(): PER_LOGIN}


async def count_attempt(tx: Transaction, subjects: Mapping[bytes, int], *, now: datetime) -> int | None:
    """Count an attempt; the seconds to wait when there were too many, else None.

    Counted in order, up to a subject that had too many: who is shut out leaves no row for each name that they think of.
    """
    wait = None
    for subject, most in subjects.items():
        row = await tx.fetchrow(COUNT_ATTEMPT, subject, now, now - WINDOW)
        assert row is not None, "an upsert returns its row"
        if row["failures"] > most:
            wait = int((row["window_began"] + WINDOW - now).total_seconds()) + 1
            break
    await tx.execute(DELETE_OLD_ATTEMPTS, now - WINDOW, now + WINDOW, MOST_FORGOTTEN)
    return wait


async def uncount_attempt(tx: Transaction, subjects: Mapping[bytes, int]) -> None:
    """It was no failure."""
    await tx.execute(UNCOUNT_ATTEMPT, sorted(subjects))
