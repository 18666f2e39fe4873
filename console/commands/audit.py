"""`akashi audit`: is what the purchasers see what was issued?"""

# ruff: noqa: PLC0415 - imports wait until a command runs, so that --help is fast
import contextlib
import os
import sys
import traceback
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup
from typer.exceptions import Abort, Exit, TyperException

from console.commands.options import AsJson
from console.environment import find_stack
from console.output import print_json
from console.running import fail, run
from deploy.local.problem import Problem

if TYPE_CHECKING:
    from console.audit.compare import Report

#: Nothing was found wrong, because nothing could be looked at.
COULD_NOT_CHECK = 2


class Audits(TyperGroup):
    """The auditor's commands. Whatever breaks ends with 2, because 1 says that something was found."""

    def invoke(self, ctx: Any) -> Any:
        try:
            found = super().invoke(ctx)
            sys.stdout.flush()
        except (Problem, TyperException, Exit, Abort):
            raise
        except OSError as error:
            # What could not be said shall not be tried again at the end.
            with contextlib.suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            fail(Problem(f"What was found could not be told: {error.strerror or error}."), COULD_NOT_CHECK)
        except Exception:  # noqa: BLE001 - told whole, and not as a finding
            traceback.print_exc()
            raise typer.Exit(COULD_NOT_CHECK) from None
        return found


app = typer.Typer(
    cls=Audits,
    help="The auditor's (監査人) checks, which change nothing; exports, imports, and a rebuild.",
    no_args_is_help=True,
)


@app.command()
def compare(
    settle: Annotated[
        float, typer.Option(min=0, max=86400, metavar="SECONDS", help="Look again so long while they differ.")
    ] = 0,
    as_json: AsJson = False,
) -> None:
    """Fold the event log and compare every certificate (電子証書) of the registry with it, column by column.

    Also: nothing issued, numbered or decided twice; every acceptance with its certificate; no certificate without.
    While applications are under way, what is not there yet looks like a difference: give --settle then.

    Exit 0 when they are equal, 1 when they differ, 2 when it could not be checked.
    """
    from console.audit.check import compare as compare_stack

    try:
        report = run(compare_stack(find_stack(), settle_seconds=settle))
    except Problem as problem:
        fail(problem, COULD_NOT_CHECK)
    if as_json:
        print_json(report.as_json())
    else:
        _tell(report)
    if not report.equal:
        raise typer.Exit(1)


def _tell(report: "Report") -> None:
    """Differences on standard output, one a line; the rest on standard error."""
    for difference in report.differences:
        print(difference)
    for application, state in report.pending:
        print(f"pending {application}: {state}", file=sys.stderr)
    states = Counter(state for _, state in report.pending)
    unreadable = ", ".join(f"{count} {reason}" for reason, count in sorted(report.unreadable.items())) or "none"
    print(
        f"Event log: {report.applications} applications, {report.decisions} decisions, {report.certificates} "
        f"certificates, {report.registrations} registrations ({report.repeats} events repeated; unreadable: "
        f"{unreadable}).\nRegistry: {report.registry_rows} certificates. Pending: {states['queued']} queued, "
        f"{states['unanswered']} unanswered.\n"
        + ("They are equal." if report.equal else f"They differ in {len(report.differences)} places."),
        file=sys.stderr,
    )


@app.command()
def trail(
    wanted: Annotated[
        str, typer.Argument(metavar="NUMBER|APPLICATION_ID", help="保証契約番号, or an application's id.")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON object for each entry, one a line.")] = False,
    pdf: Annotated[Path | None, typer.Option(metavar="FILE", help="Write it as PDF, too.", dir_okay=False)] = None,
) -> None:
    """Tell everything that ever happened to one guarantee (保証契約) and its application, at all services, in order.

    Read from all topics, and from what the services note without an event: who looked at a key and when, proposals,
    letters. An application's id tells of all its guarantees. No key, digest, message or address is ever told.

    Exit 0 when something is known, 1 when nothing is, 2 when it could not be read.
    """
    from console.audit import trail_reading
    from console.audit.trail_showing import print_trail, write_pdf

    try:
        found = run(trail_reading.trail(find_stack(), wanted))
    except trail_reading.NothingFound as nothing:
        fail(nothing)
    except Problem as problem:
        fail(problem, COULD_NOT_CHECK)
    print_trail(found, as_json=as_json)
    if pdf is not None:
        try:
            write_pdf(found, pdf)
        except Problem as problem:
            fail(problem, COULD_NOT_CHECK)


@app.command()
def reconcile(  # noqa: PLR0917 - typer passes them by name
    older_than: Annotated[
        float,
        typer.Option(
            min=0, max=31_536_000, metavar="SECONDS", help="What is younger than this may still be on its way."
        ),
    ] = 300,
    watch: Annotated[bool, typer.Option("--watch", help="Look again and again, until it is stopped.")] = False,
    metrics_port: Annotated[
        int | None, typer.Option(min=1, max=65535, metavar="PORT", help="With --watch: serve Prometheus gauges here.")
    ] = None,
    metrics_host: Annotated[
        str, typer.Option(metavar="HOST", help="With --metrics-port: who may reach it; 0.0.0.0 is everybody.")
    ] = "127.0.0.1",
    every: Annotated[float, typer.Option(min=1, metavar="SECONDS", help="With --watch: how often.")] = 60,
    as_json: AsJson = False,
) -> None:
    """Do issuer, registry, intake and notifier agree? Nothing lost between them, nobody un-mailed, nothing stuck.

    Reads the four databases and the dead letters, effects before their causes: what is on its way is no difference
    until it is older than the threshold. Waiting at the desk is counted and no difference.

    Exit 0 when they agree, 1 when they differ, 2 when it could not be checked; --watch exits 0 when it is stopped.
    """
    from console.audit import reconcile_showing

    if metrics_port is not None and not watch:
        raise Problem("--metrics-port is for --watch: add that, or leave the port out.")
    try:
        stack = find_stack()
        if watch:
            metrics = (metrics_host, metrics_port) if metrics_port is not None else None
            run(reconcile_showing.watch(stack, older_than, every=every, metrics=metrics, as_json=as_json))
            return
        agree = run(reconcile_showing.look_once(stack, older_than, as_json=as_json))
    except Problem as problem:
        fail(problem, COULD_NOT_CHECK)
    if not agree:
        raise typer.Exit(1)


Folder = Annotated[Path, typer.Argument(metavar="DIR", help="The export's folder.")]


@app.command("export")
def export_(folder: Folder, as_json: AsJson = False) -> None:
    """Write all events and the whole log into DIR, for an auditor to read and verify without us.

    Given a DIR that holds an export, it adds what came since. Killed and run again, it goes on.
    """
    from console.audit.export import export
    from console.audit.export_progress import bars
    from console.output import printable

    with bars() as show:
        done = run(export(find_stack(), folder, show))
    if as_json:
        print_json(done.as_json())
        return
    for topic in done.topics:
        gaps = f", {topic.gaps} that Kafka let go of" if topic.gaps else ""
        print(f"{topic.topic:<20} {topic.records:>12,} events, {topic.new:,} of them new{gaps}", file=sys.stderr)
    print(f"{'log':<20} {done.leaves:>12,} leaves, {done.new_leaves:,} of them new", file=sys.stderr)
    if done.unchanged:
        print("Nothing happened since the export before.", file=sys.stderr)
    origin = "" if done.key.startswith(f"{done.origin}+") else f" --origin {done.origin}"
    print(f"Verify: python -m transparency verify {printable(str(folder))} --key {done.key}{origin}", file=sys.stderr)


@app.command("import")
def import_(
    folder: Folder,
    key: Annotated[
        list[str] | None,
        typer.Option(metavar="VKEY", help="The log's verifier key: check every signature and the log, too."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Bring the events of an export into an empty Kafka: same partitions, order, keys, headers, values and times.

    Killed and run again, it goes on. The services must not run before their databases fit again.
    """
    from console.audit.export_progress import bars
    from console.audit.importing import import_ as import_into

    with bars() as show:
        done = run(import_into(find_stack(postgres=False).kafka_administrator, folder, key or (), show))
    if as_json:
        print_json(done.as_json())
        return
    before = f", {done.there_before:,} of them before" if done.there_before else ""
    print(f"Imported {done.records:,} events{before}.", file=sys.stderr)
    for topic, count in done.other_offsets.items():
        print(f"{topic}: {count:,} events have other offsets than before, for there were gaps.", file=sys.stderr)
    if not done.verified:
        print("Hashes were checked, signatures were not: --key checks them.", file=sys.stderr)


@app.command()
def replay(
    service: Annotated[
        str, typer.Option(metavar="NAME", help="Whose: registry, issuer, intake or notifier.")
    ] = "registry",
    until: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="As it was then: 2026-11-20T17:15 is Japan's time, …Z is UTC."),
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the shadow, a schema, and say its name.")] = False,
    as_json: AsJson = False,
) -> None:
    """Rebuild a service's database from the event log in a shadow, by its own code, and compare row for row.

    Of the registry also the transparency log (透明性ログ): every leaf, tile and root that was signed. Nothing is
    published, mailed or drawn; the live database is only read. What no event tells is left out, and said. The shadow is
    dropped afterwards. Needs the superuser's secret.

    Exit 0 when they are equal, 1 when they differ, 2 when it could not be checked.
    """
    from console.audit.replay import read_moment
    from console.audit.replay_of import replay_of
    from console.audit.replay_showing import Bars, tell

    try:
        moment = read_moment(until) if until is not None else None
        with Bars() as bars:
            found = run(replay_of(find_stack(), service, until=moment, keep=keep, progress=bars))
    except Problem as problem:
        fail(problem, COULD_NOT_CHECK)
    if as_json:
        print_json(found.as_json())
    else:
        tell(found)
    if not found.equal:
        raise typer.Exit(1)


@app.command()
def rebuild(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Build, verify and compare; change nothing.")] = False,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the old tables in a schema, and say its name.")] = False,
    as_json: AsJson = False,
) -> None:
    """Build the registry anew from the event log, verify it, and swap it in while purchasers keep viewing.

    Also a registry whose database was lost: make an empty one (setup, migrate), rebuild, then start the registry.
    Each difference is printed. Killed at any moment, run it again. Needs the superuser's secret.

    Exit 0 when it was swapped in (or would be), 1 when it was refused, 2 when it could not be done.
    """
    from console.audit.rebuild import rebuild as rebuild_stack
    from console.audit.rebuild_showing import tell
    from console.audit.replay_showing import Bars

    try:
        with Bars() as bars:
            done = run(rebuild_stack(find_stack(), dry_run=dry_run, keep=keep, progress=bars))
    except Problem as problem:
        fail(problem, COULD_NOT_CHECK)
    if as_json:
        print_json(done.as_json())
    else:
        tell(done)
    if done.refusals:
        raise typer.Exit(1)
