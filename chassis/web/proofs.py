"""Is it still the person? Their own password or a code of the minute, asked of an account that is known.

Both can be tried a few times, counted for the account alone: before the row of its secrets is locked, everywhere alike.
"""

from dataclasses import dataclass
from typing import Final

import structlog
from asyncpg import Record

from chassis.metrics import WRONG_SECRETS
from chassis.sealing import CannotOpen
from chassis.web import passwords, sessions
from chassis.web.pages import Visit
from chassis.web.wording import noted

log = structlog.get_logger()


@dataclass(frozen=True)
class Refused:
    """What the page answers where it is not proved."""

    status: int
    #: A message of the catalogue.
    fault: str


TOO_OFTEN: Final = Refused(
    429, noted("入力の誤りが続いたため、しばらく操作できません。時間をおいて、もう一度お試しください。")
)
WRONG_PASSWORD: Final = Refused(422, noted("現在のパスワードが正しくありません。"))
WRONG_CODE: Final = Refused(422, noted("コードが正しくありません。認証アプリの現在のコードを入力してください。"))


async def by_password(visit: Visit, field: str) -> Refused | Record:
    """The person's own sign-in, locked (`SELECT_OWN`), where a field of the form holds their password."""
    account_id, now = visit.person.account_id, visit.site.runtime.clock.now()
    subjects = sessions.own_subject("password", account_id)
    if await sessions.count_attempt(visit.tx, subjects, now=now) is not None:
        return _counted(TOO_OFTEN, "password")
    own = await visit.tx.fetchrow(sessions.SELECT_OWN, account_id)
    if own is None or not await passwords.fits(own["password"], str(visit.form.get(field, ""))):
        return _counted(WRONG_PASSWORD, "password")
    await sessions.uncount_attempt(visit.tx, subjects)
    return own


async def by_code(visit: Visit) -> Refused | None:
    """None where the form's `code` is of this minute. Each is taken once; the first confirms the secret."""
    account_id, now = visit.person.account_id, visit.site.runtime.clock.now()
    subjects = sessions.own_subject("code", account_id)
    if await sessions.count_attempt(visit.tx, subjects, now=now) is not None:
        return _counted(TOO_OFTEN, "code")
    own = await visit.tx.fetchrow(sessions.SELECT_OWN, account_id)
    if own is None or own["totp_nonce"] is None:
        return _counted(WRONG_CODE, "code")
    try:
        secret = visit.site.at_rest.open(own["totp_nonce"], own["totp_ciphertext"], about=account_id).decode()
    except CannotOpen:
        # The service was given another key than the one that it was sealed with.
        log.warning("code.cannot_be_opened", account_id=str(account_id))
        return _counted(WRONG_CODE, "code")
    step = passwords.matching_step(secret, visit.text("code"), now=now.timestamp(), after=own["totp_last_step"])
    if step is None:
        return _counted(WRONG_CODE, "code")
    await visit.tx.execute(sessions.UPDATE_STEP, account_id, step, now)
    await sessions.uncount_attempt(visit.tx, subjects)
    return None


def _counted(refused: Refused, of: str) -> Refused:
    WRONG_SECRETS.labels(of, "too_often" if refused is TOO_OFTEN else "wrong").inc()
    return refused
