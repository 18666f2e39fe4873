"""The release after this one, made for real: a copy of the rooms with one more field in four events, and one more column,
table and index in each database.

That is what a release may change while the one before it still runs. Its schemas are published by its own rules.
"""

import asyncio
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from deploy.local.state import CLONE

ROOMS: Final = ("chassis", "console", "deploy", "documents", "reference", "schemas", "services", "transparency")
#: An older reader does not know it, an older writer does not write it.
FIELD: Final = "asked_by_way_of"
VALUE: Final = "tomorrow"
#: The event of each service that has it: its file in `schemas`, its time field, and what writes it in which file.
EVENTS: Final[Mapping[str, tuple[str, str, str, str]]] = {
    "ApplicationSubmitted": ("applications", "submitted_at", "services/intake/handlers.py", "return "),
    "CertificateIssued": ("certificates", "issued_at", "services/issuer/issuance.py", "issued = "),
    "CertificateRegistered": ("registrations", "registered_at", "services/registry/handlers.py", "return "),
    "MailSent": ("notifications", "sent_at", "services/notifier/telling.py", "return "),
}
#: A table of each service that gains a column, and an index on it.
TABLES: Final[Mapping[str, str]] = {
    "intake": "application",
    "issuer": "guarantee",
    "registry": "certificate",
    "notifier": "letter",
}
EXPANSION: Final = """
ALTER TABLE {table} ADD COLUMN {field} text;
CREATE TABLE tomorrow (id uuid PRIMARY KEY, noted_at timestamptz NOT NULL DEFAULT now());
"""
INDEX: Final = """-- transaction: none
CREATE INDEX CONCURRENTLY IF NOT EXISTS {table}_by_way ON {table} ({field}) WHERE {field} IS NOT NULL
"""
#: How long one of its commands may take.
COMMAND_SECONDS: Final = 120


def files_of(service: str) -> list[str]:
    """Its migrations that this release does not know."""
    return [f"{service}_9998_expanded.sql", f"{service}_9999_indexed.sql"]


async def make(folder: Path) -> Path:
    """Write it into a new folder, and return that."""
    for room in ROOMS:
        shutil.copytree(CLONE / room, folder / room, ignore=shutil.ignore_patterns("__pycache__"))
    for event, (schema, time_field, writer, words) in EVENTS.items():
        file = folder / "schemas" / f"{schema}.py"
        head, body = file.read_text().split(f"class {event}(Event):")
        named = f'    time_field = "{time_field}"\n'
        assert named in body
        body = body.replace(named, f"{named}\n    {FIELD}: str | None = None\n", 1)
        file.write_text(f"{head}class {event}(Event):{body}")
        written = (folder / writer).read_text()
        assert written.count(f"{words}{event}(") == 1
        (folder / writer).write_text(written.replace(f"{words}{event}(", f"{words}{event}({FIELD}={VALUE!r}, "))
    for service, table in TABLES.items():
        for name, statements in zip(files_of(service), (EXPANSION, INDEX), strict=True):
            file = folder / "services" / service / "migrations" / name
            file.write_text(statements.format(table=table, field=FIELD))
    await run(folder, "schemas", "generate")
    return folder


async def run(folder: Path, module: str, *arguments: str, **environment: str) -> str:
    """What one of its programs says; it must succeed."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", module, *arguments),
        cwd=folder,
        env=environment or None,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    async with asyncio.timeout(COMMAND_SECONDS):
        said, _ = await process.communicate()
    assert process.returncode == 0, f"{module} {' '.join(arguments)}: {said.decode()}"
    return said.decode()
