"""What the manifest of an export says: the log's part as `transparency` reads it, and of each topic what it goes to."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from console.audit import export_files
from console.audit.export_files import FILE, TopicFile
from console.audit.export_folder import TEMPORARY, Before, listing, present, to_be
from console.audit.export_progress import Show
from console.audit.export_topics import Bounds
from deploy.local.problem import Problem
from transparency.checkpoints import SignedCheckpoint
from transparency.export import LEAVES, MANIFEST, MANIFEST_NOTE, File, Manifest, Previous


def describe(files: Sequence[TopicFile], bounds: Mapping[int, Bounds]) -> dict[str, Any]:
    """How many records of a topic are there, from which offset on, and which comes next. Gaps are Kafka's."""
    held = export_files.totals(files)
    partitions = {}
    gaps = 0
    for number, bound in sorted(bounds.items()):
        span = held.get(number)
        rows = span.rows if span else 0
        first = min(span.first, bound.begin) if span else bound.begin
        gaps += bound.end - first - rows
        partitions[str(number)] = {"first": first, "next": bound.end, "records": rows}
    return {"records": sum(file.rows for file in files), "gaps": gaps, "partitions": partitions}


def list_files(folder: Path, before: Before | None, rows: Mapping[str, int], show: Show) -> tuple[File, ...]:
    """Every file, with its hash. What was listed was hashed at the start, and only small files can have changed."""
    listed = {} if before is None else before.files
    there = {path.removesuffix(TEMPORARY) for path in present(folder)}
    paths = sorted(there - {MANIFEST, MANIFEST_NOTE})
    kept = {path for path in paths if path in listed and (FILE.fullmatch(path) or LEAVES.fullmatch(path))}
    show.begin("Hashing", sum(to_be(folder, p).stat().st_size for p in paths if p not in kept), bytes_=True)
    return tuple(
        listed[path] if path in kept else listing(folder, path, rows.get(path), hashed=show.done) for path in paths
    )


def compose(
    before: Before | None, files: tuple[File, ...], newest: SignedCheckpoint, described: Mapping[str, Any]
) -> bytes:
    """The manifest's bytes: those that are there, if nothing has changed."""

    def with_previous(previous: Previous | None) -> bytes:
        checkpoint = newest.checkpoint
        manifest = Manifest(files, checkpoint.origin, 0, checkpoint.size, str(newest.note), previous)
        # The log's readers pass over a name that they do not know.
        document = json.loads(manifest.to_bytes()) | {"topics": described}
        return json.dumps(document, ensure_ascii=False, indent=1).encode() + b"\n"

    if before is None:
        return with_previous(None)
    same = with_previous(before.manifest.previous)
    return same if same == before.raw else with_previous(Previous(before.manifest.checkpoint, before.sha256, None))


def partitions_of(raw: bytes) -> dict[str, dict[int, int]]:
    """Records of each partition of each topic. `Problem` when the manifest does not say."""
    try:
        return {
            topic: {int(number): int(partition["records"]) for number, partition in said["partitions"].items()}
            for topic, said in json.loads(raw)["topics"].items()
        }
    except (ValueError, TypeError, KeyError, AttributeError):
        raise Problem("The manifest does not say which records the export holds: it has none to import.") from None
