"""`akashi audit`: is what the purchasers see what was issued?"""

# ruff: noqa: PLC0415 - imports wait until a command runs, so that --help is fast
import sys
from collections import Counter
from typing import TYPE_CHECKING, Annotated

import typer

from console.commands.options import AsJson
from console.environment import find_stack
from console.output import print_json
from console.running import fail, run
from deploy.local.problem import Problem

if TYPE_CHECKING:
    from console.audit.compare import Report

app = typer.Typer(help="The auditor's (監査人) checks. They change nothing.", no_args_is_help=True)

#: Nothing was found wrong, because nothing could be looked at.
COULD_NOT_CHECK = 2


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
