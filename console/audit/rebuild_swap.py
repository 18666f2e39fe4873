"""How does a rebuilt registry take the place of the old one, while purchasers look things up? Steps 5 to 8.

Tables are moved between schemas, in one transaction: sessions with statements prepared for the old ones find the new
ones by name. What is not rebuilt stays where it is. Whoever waits for us waits less than its own `lock_timeout`.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

from console.store import BUSY, NOT_THERE, STILL_NEEDED, Connection
from services.registry.log import store as log_store

#: How long purchasers may wait in one attempt: the services give up after 5 s.
LONGEST_SECONDS: Final = 3.0
#: What holds the tables before the swap until they are dropped, and what holds them for a person.
BEFORE: Final = "registry_before_"
KEPT: Final = "registry_kept_"

#: Whoever is in our way for long goes first, and a circle of waiting ends with us.
BRIEFLY: Final = """
SET LOCAL lock_timeout = '300ms'; SET LOCAL deadlock_timeout = '100ms';
SET LOCAL idle_in_transaction_session_timeout = '5s'
"""
#: Look-ups count the attempt first, registrations add their rows first, and whatever else appends locks the head.
#: In this order nobody who is past a gate finds another one closed. Reading goes on.
CLOSE_GATES: Final = """
LOCK TABLE throttle, certificate, log_head, view, opened_certificate, leaf, tile_node IN EXCLUSIVE MODE
"""
LOCK_ALL: Final = """
LOCK TABLE certificate, view, opened_certificate, log_head, leaf, tile_node IN ACCESS EXCLUSIVE MODE
"""
#: Transactions that may read on from a state before now; those that wait for us have none. $1 the shadow's role
SELECT_READERS: Final = """
SELECT pid, xact_start FROM pg_stat_activity
WHERE datname = current_database() AND backend_type = 'client backend' AND backend_xmin IS NOT NULL
    AND pid <> pg_backend_pid() AND usename <> $1 AND NOT pg_backend_pid() = ANY(pg_blocking_pids(pid))
"""
#: What is known of other sessions is kept for a whole transaction otherwise.
LOOK_AGAIN: Final = "SELECT pg_stat_clear_snapshot()"

#: Views name accounts, which no event tells. Nobody signs in with what is made here.
ADD_ACCOUNTS: Final = """
INSERT INTO public.account (id, role, subject_id, person, disabled_at)
SELECT id, role, subject_id, '不明', now() FROM "{shadow}".account AS told
WHERE NOT EXISTS (SELECT FROM public.account WHERE account.id = told.id)
"""
#: Open in a browser by a look that is not in the rebuilt registry.
CLOSE_OPENED: Final = """
DELETE FROM public.opened_certificate AS opened
WHERE NOT EXISTS (SELECT FROM "{shadow}".view WHERE view.view_id = opened.view_id)
"""
TABLES: Final = ("certificate", "view", "log_head", "leaf", "tile_node")
#: What differs from shadow to registry are the foreign keys over the edge of what is moved.
MOVE: Final = (
    'CREATE SCHEMA "{before}" AUTHORIZATION registry',
    "ALTER TABLE public.opened_certificate DROP CONSTRAINT opened_certificate_view_id_fkey",
    'ALTER TABLE "{shadow}".opened_certificate DROP CONSTRAINT opened_certificate_view_id_fkey',
    'ALTER TABLE "{shadow}".view DROP CONSTRAINT view_account_id_fkey',
    *(f'ALTER TABLE public.{table} SET SCHEMA "{{before}}"' for table in TABLES),
    *(f'ALTER TABLE "{{shadow}}".{table} OWNER TO registry' for table in TABLES),
    *(f'ALTER TABLE "{{shadow}}".{table} SET SCHEMA public' for table in TABLES),
    # Looked through afterwards, when nobody waits for it.
    """
    ALTER TABLE public.view
    ADD CONSTRAINT view_account_id_fkey FOREIGN KEY (account_id) REFERENCES public.account NOT VALID
    """,
    """
    ALTER TABLE public.opened_certificate
    ADD CONSTRAINT opened_certificate_view_id_fkey FOREIGN KEY (view_id) REFERENCES public.view
    """,
)
VALIDATE: Final = "ALTER TABLE public.view VALIDATE CONSTRAINT view_account_id_fkey"
#: The statements that give others the same rights as on the tables before, and on their columns. $1 their schema
SELECT_GRANTS: Final = """
WITH given AS (
    SELECT relname, relowner, privilege_type, grantee, is_grantable, '' AS columns
    FROM pg_class, aclexplode(relacl) WHERE relnamespace = to_regnamespace($1) AND relkind = 'r'
    UNION ALL
    SELECT relname, relowner, privilege_type, grantee, is_grantable, format('(%I)', attname)
    FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid, aclexplode(attacl)
    WHERE relnamespace = to_regnamespace($1) AND relkind = 'r' AND NOT attisdropped
)
SELECT format('GRANT %s %s ON public.%I TO %s%s', privilege_type, columns, relname,
    CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END,
    CASE WHEN is_grantable THEN ' WITH GRANT OPTION' ELSE '' END) AS statement
FROM given WHERE grantee <> relowner
"""
#: What people added to these tables, and a rebuild would leave with the old ones. $1 tables, $2 the shadow's schema
SELECT_ADDED: Final = """
WITH ours AS (SELECT to_regclass('public.' || t) AS old, to_regclass(format('%I.%I', $2::text, t)) AS new, t
    FROM unnest($1::text[]) AS t)
SELECT 'index ' || old.indexname AS name FROM pg_indexes AS old JOIN ours ON t = old.tablename
WHERE old.schemaname = 'public' AND NOT EXISTS (
    SELECT FROM pg_indexes AS new WHERE new.schemaname = $2 AND new.indexname = old.indexname)
UNION ALL SELECT 'trigger ' || tgname FROM pg_trigger JOIN ours ON tgrelid = old WHERE NOT tgisinternal
UNION ALL SELECT 'policy ' || polname FROM pg_policy JOIN ours ON polrelid = old
UNION ALL SELECT 'publication of ' || t FROM pg_publication_rel JOIN ours ON prrelid = old
UNION ALL SELECT 'constraint ' || conname FROM pg_constraint JOIN ours ON conrelid = old
WHERE NOT EXISTS (SELECT FROM pg_constraint AS same WHERE same.conrelid = new AND same.conname = pg_constraint.conname)
UNION ALL SELECT format('constraint %s of %s', conname, conrelid::regclass)
FROM pg_constraint JOIN ours ON confrelid = old
WHERE conrelid NOT IN (SELECT old FROM ours) AND conrelid <> 'public.opened_certificate'::regclass
ORDER BY 1
"""
#: Tables were brought to another version meanwhile.
SELECT_MIGRATED: Final = """
SELECT name FROM public.schema_migration
WHERE NOT EXISTS (SELECT FROM "{shadow}".schema_migration AS ours
    WHERE (ours.name, ours.sha256) = (schema_migration.name, schema_migration.sha256))
ORDER BY name
"""
#: Views that people made of these tables: they would go on showing the old ones. $1 tables
SELECT_VIEWS: Final = """
SELECT DISTINCT ev_class::regclass::text AS name FROM pg_depend JOIN pg_rewrite ON pg_rewrite.oid = objid
WHERE classid = 'pg_rewrite'::regclass AND refobjid IN (SELECT to_regclass('public.' || t) FROM unnest($1::text[]) AS t)
"""

SELECT_LEFT: Final = "SELECT nspname FROM pg_namespace WHERE starts_with(nspname, $1) ORDER BY nspname"
#: Rows of the tables before that are not among those of now.
COUNT_UNTOLD: Final = """
SELECT (SELECT count(*) FROM "{before}".certificate AS old
        WHERE NOT EXISTS (SELECT FROM public.certificate AS new WHERE new.certificate_id = old.certificate_id))
    + (SELECT count(*) FROM "{before}".view AS old
        WHERE NOT EXISTS (SELECT FROM public.view AS new WHERE new.view_id = old.view_id))
    + (SELECT count(*) FROM "{before}".leaf AS old
        WHERE NOT EXISTS (SELECT FROM public.leaf AS new WHERE (new.kind, new.subject) = (old.kind, old.subject)))
"""
KEEP: Final = 'ALTER SCHEMA "{before}" RENAME TO "{kept}"'
DROP: Final = (
    "DROP TABLE " + ", ".join(f'"{{before}}".{table}' for table in TABLES),
    'DROP SCHEMA "{before}"',
)
_RETIRE_SECONDS: Final = 30.0


class Busy(Exception):
    """The tables cannot be had for now: nothing was changed."""


@dataclass
class Deadline:
    """How long others have waited, and may."""

    began: float

    @classmethod
    def begin(cls) -> "Deadline":
        return cls(time.monotonic())

    @property
    def passed(self) -> float:
        return time.monotonic() - self.began

    def check(self) -> None:
        if self.passed > LONGEST_SECONDS:
            raise Busy

    @property
    def left(self) -> float:
        return LONGEST_SECONDS - self.passed


@contextlib.asynccontextmanager
async def busy_after(seconds: float) -> AsyncIterator[None]:
    """Raises `Busy` in the middle of what takes longer."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        raise Busy from None


async def close_gates(tx: Connection) -> Deadline:
    """Nobody signs or appends until `tx` ends. Raises `Busy`, or one of `store.BUSY`."""
    await tx.execute(BRIEFLY)
    signing = Deadline.begin()
    while not await log_store.may_sign(tx):
        signing.check()
        await asyncio.sleep(0.02)
    deadline = Deadline.begin()
    await tx.execute(CLOSE_GATES)
    return deadline


async def wait_for_readers(tx: Connection, role: str) -> None:
    """Until every transaction has ended whose state of the database may be older than the shadow's newest row.

    Such a one would find the new tables, and not all rows in them.
    """
    waited_for = await _readers(tx, role)
    while waited_for:
        await asyncio.sleep(0.01)
        waited_for &= await _readers(tx, role)


async def _readers(tx: Connection, role: str) -> set[tuple[object, ...]]:
    await tx.execute(LOOK_AGAIN)
    return {tuple(row) for row in await tx.fetch(SELECT_READERS, role)}


async def move(tx: Connection, shadow: str, before: str) -> tuple[int, int]:
    """The old tables out, the new ones in. How many accounts were added, and opened certificates closed."""
    names = {"shadow": shadow, "before": before}
    await tx.execute(LOCK_ALL)
    added = await tx.execute(ADD_ACCOUNTS.format(**names))
    closed = await tx.execute(CLOSE_OPENED.format(**names))
    for statement in MOVE:
        await tx.execute(statement.format(**names))
    for row in await tx.fetch(SELECT_GRANTS, before):
        await tx.execute(row["statement"])
    return _count(added), _count(closed)


def _count(status: str) -> int:
    return int(status.rpartition(" ")[2])


async def retire(admin: Connection) -> tuple[int, list[str]]:
    """Drop what was before, of a run that was killed, too. How many rows no event tells, and the schemas that stay.

    A schema that holds such rows stays, and one of which something else was made.
    """
    await admin.execute(VALIDATE)
    untold, kept = 0, []
    for row in await admin.fetch(SELECT_LEFT, BEFORE):
        before = row["nspname"]
        rows = await count_untold(admin, before)
        untold += rows or 0
        name = await _let_go(admin, before, stays=rows != 0)
        if name is not None:
            kept.append(name)
    return untold, kept


async def count_untold(admin: Connection, before: str) -> int | None:
    """How many rows of the tables before no event tells; None where somebody took a table out of there."""
    try:
        count: int = await admin.fetchval(COUNT_UNTOLD.format(before=before))
    except NOT_THERE:
        return None
    return count


async def _let_go(admin: Connection, before: str, *, stays: bool) -> str | None:
    """The schema's name, if it stays."""
    kept = KEPT + before.removeprefix(BEFORE)
    give_up_at = time.monotonic() + _RETIRE_SECONDS
    while True:
        try:
            async with admin.transaction():
                await admin.execute(BRIEFLY)
                for statement in (KEEP,) if stays else DROP:
                    await admin.execute(statement.format(before=before, kept=kept))
        except STILL_NEEDED:
            stays = True
        except BUSY:
            if time.monotonic() > give_up_at:
                # The next run tries again.
                return str(before)
            await asyncio.sleep(0.5)
        else:
            return kept if stays else None
