"""How is a trail shown: a table for people, JSON lines for programs, a PDF for the file?"""

import json
import sys
from pathlib import Path

from console.audit.trail import Entry, Trail
from console.output import print_table
from deploy.local.problem import Problem


def print_trail(found: Trail, *, as_json: bool) -> None:
    """Entries on standard output, oldest first; what they are about on standard error."""
    if as_json:
        for entry in found.entries:
            print(json.dumps(entry.as_json(), ensure_ascii=False))
        return
    columns = ("time (JST)", "service", "event", "what", "correlation", "source")
    print_table(columns, (_cells(entry) for entry in found.entries), empty="")
    print(
        f"Application {found.application_id}; contract numbers: {', '.join(found.contract_numbers) or 'none'}; "
        f"{len(found.entries)} entries.",
        file=sys.stderr,
    )


def _cells(entry: Entry) -> tuple[str, ...]:
    repeated = f" （×{entry.repeats + 1}）" if entry.repeats else ""
    return entry.at_jst, entry.service, entry.type, entry.says + repeated, entry.correlation_id or "", entry.source


def write_pdf(found: Trail, path: Path) -> None:
    """Write the trail as a document. `Problem` where it can't be drawn or written."""
    try:
        from documents.trail import TrailLine, trail_pdf  # noqa: PLC0415 - an installation may do without
    except ImportError as error:
        raise Problem(
            f"A PDF can't be drawn without {error.name}: install the dependency group documents, too "
            "(`uv sync --group documents`)."
        ) from None
    lines = [
        TrailLine(entry.at, entry.service, entry.type, entry.says, entry.correlation_id or "", entry.source)
        for entry in found.entries
    ]
    document = trail_pdf(str(found.application_id), found.contract_numbers, lines)
    try:
        path.write_bytes(document)
    except OSError as error:
        raise Problem(f"{path} can't be written ({error.strerror}): choose another file.") from None
