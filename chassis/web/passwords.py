"""What does a person have to know? A password (argon2id) and, where they chose so, a code of the minute (RFC 6238)."""

import asyncio
import hmac
import secrets
import unicodedata
from typing import Final

import pyotp
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from chassis.web.wording import noted

#: OWASP's first choice of parameters; one check takes about 30 ms and 19 MiB.
HASHER: Final = PasswordHasher(memory_cost=19_456, time_cost=2, parallelism=1)
SHORTEST: Final = 12
LONGEST: Final = 128
#: That a new password must withstand, by an estimate which knows common ones, words, names, dates and rows of keys.
FEWEST_GUESSES: Final = 10**8
#: Of a longer one, so many characters are estimated: what the estimate takes grows with their square, and more.
ESTIMATED: Final = 40
#: Codes of the step before and after are taken, too: clocks differ.
STEP_SECONDS: Final = 30

#: At most so many at once: each takes memory, and everyone may ask for one.
_TURNS = asyncio.Semaphore(4)
#: An estimate is Python, and takes its time from everything else here.
_ESTIMATING = asyncio.Semaphore(1)
#: Checked when there is no such login, so that an answer tells nothing by its time.
_DUMMY: Final = HASHER.hash(secrets.token_urlsafe(16))


async def hashed(password: str) -> str:
    """What is stored. Passwords are compared in NFKC: a keyboard may give full width."""
    async with _TURNS:
        return await asyncio.to_thread(HASHER.hash, _normal(password))


async def fits(stored: str | None, password: str) -> bool:
    """Takes as long without a stored one as with."""
    async with _TURNS:
        return await asyncio.to_thread(_verify, stored, _normal(password))


async def fault_of(password: str, *, login: str) -> str | None:
    """Why a new password cannot be taken, in Japanese (a message of the catalogue); None when it can."""
    text = _normal(password)
    if not SHORTEST <= len(text) <= LONGEST:
        return noted("パスワードは12文字以上128文字以内で入力してください。")
    if login.lower() in text.lower() or await _guesses(text) < FEWEST_GUESSES:
        return noted(
            "推測されやすいパスワードは使用できません。IDやよく使われる言葉を避け、関係のない言葉を組み合わせてください。"
        )
    return None


def draw() -> str:
    """A first password, to be changed at the first sign-in."""
    return "-".join(secrets.token_hex(3) for _ in range(3))


def matching_step(secret: str, code: str, *, now: float, after: int) -> int | None:
    """The time step that a code is of, if it is of this minute and later than step `after`; else None."""
    typed = unicodedata.normalize("NFKC", code).replace(" ", "")
    totp = pyotp.TOTP(secret)
    this = int(now) // STEP_SECONDS
    for step in (this - 1, this, this + 1):
        if hmac.compare_digest(totp.at(step * STEP_SECONDS).encode(), typed.encode()) and step > after:
            return step
    return None


def _normal(password: str) -> str:
    return unicodedata.normalize("NFKC", password)


async def _guesses(text: str) -> int:
    """A second or so at worst."""
    from zxcvbn import zxcvbn  # noqa: PLC0415 - its 15 MB of words are for services where somebody changes one

    async with _ESTIMATING:
        return int((await asyncio.to_thread(zxcvbn, text[:ESTIMATED]))["guesses"])


def _verify(stored: str | None, password: str) -> bool:
    try:
        return HASHER.verify(stored or _DUMMY, password) and stored is not None
    except (VerificationError, InvalidHashError):
        return False
