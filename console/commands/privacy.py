"""`akashi privacy`: erasing personal data."""

# ruff: noqa: PLC0415 - imports wait until a command runs, so that --help is fast
import sys
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from console.commands.options import AsJson
from console.environment import find_stack
from console.output import print_json, print_listing, printable
from console.running import run
from deploy.local.problem import Problem

if TYPE_CHECKING:
    from services.intake.shredding.store import Concerned

app = typer.Typer(help="Erase the personal data (連絡先, 連絡事項) of applications.", no_args_is_help=True)

Application = Annotated[UUID, typer.Argument(help="The application's id.", metavar="APPLICATION")]


@app.command()
def shred(
    application: Application,
    by: Annotated[str, typer.Option(help="Who erases, for the record.", show_default=False)],
    reason: Annotated[
        str, typer.Option(help="Why, for the record, which is kept: no personal data.", show_default=False)
    ],
    delete_drafts: Annotated[
        bool | None,
        typer.Option(
            "--delete-drafts/--keep-drafts",
            help="What becomes of the contractor's unsent drafts that were begun since, and may be copies.",
            show_default=False,
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask.")] = False,
) -> None:
    """Erase the personal data of one application everywhere, by destroying its data key. Nothing brings it back.

    Decision, certificates, keys and the audit trail stay. Letters that have not left are given up. A repeat keeps the
    first note, and tells the other services again.
    """
    from console import privacy

    who, why = privacy.note(by, "--by"), privacy.note(reason, "--reason")
    stack = find_stack(kafka=False)
    if not yes:
        _ask(run(privacy.look(stack, application)))
    done = run(privacy.shred(stack, application, by=who, reason=why, delete_drafts=delete_drafts))
    print(
        f"Erased {done.shredded_at.isoformat(timespec='seconds')} by {printable(done.shredded_by)}: "
        f"{printable(done.reason)}.",
        file=sys.stderr,
    )
    print(f"Next: akashi privacy check {application}", file=sys.stderr)


@app.command()
def check(application: Application, as_json: AsJson = False) -> None:
    """Say where the data key of an application still lies, wrapped. Exit 1 while it lies somewhere.

    Kafka lets go of it within two days of shredding.
    """
    from console import privacy

    places = run(privacy.places(find_stack(), application))
    if as_json:
        print_json({"application": application, "places": places})
    else:
        for place in places:
            print(place)
        if not places:
            print("No service and no topic has it any more.", file=sys.stderr)
    if places:
        raise typer.Exit(1)


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """List what was erased, by whom and why."""
    from console import privacy

    print_listing(
        ("application_id", "shredded_at", "shredded_by", "reason"),
        run(privacy.all_shreddings(find_stack(kafka=False))),
        as_json=as_json,
        empty="Nothing was erased yet.",
    )


def _ask(application: "Concerned") -> None:
    print(
        f"{printable(application.works_name)}, sent {application.submitted_at.isoformat(timespec='seconds')} "
        f"by {application.contractor_id} to {application.surety_id}.",
        file=sys.stderr,
    )
    if not application.ended:
        print("It is not decided yet: the desk will have no contact to ask.", file=sys.stderr)
    if application.drafts:
        print(f"Unsent drafts that may be copies: {application.drafts}.", file=sys.stderr)
    if not typer.confirm("Erase its personal data for ever?", err=True):
        raise Problem("Nothing was erased.")
