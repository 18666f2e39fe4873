"""Single commands: `migrate`, `setup`, `demo`, and `secrets make`."""

# ruff: noqa: PLC0415 - imports wait until a command runs, so that --help is fast
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from console.commands.options import AsJson
from console.environment import find_stack
from console.output import print_listing
from console.running import run
from deploy.local.problem import Problem

app = typer.Typer()
secrets = typer.Typer(help="Passwords and keys of a deployment.", no_args_is_help=True)


@app.command()
def migrate(
    services: Annotated[
        list[str] | None, typer.Argument(metavar="SERVICE", help="All when left out.", show_default=False)
    ] = None,
    status: Annotated[bool, typer.Option("--status", help="Only show what is applied and what is missing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Bring the services' tables up to date. Services do so by themselves when they start.

    With --status: exit 1 when something is missing, or was changed after it was applied.
    """
    from console import migrations
    from console.services import known_services

    names = known_services(services)
    stack = find_stack(kafka=False)
    if not status:
        for name in names:
            for file in run(migrations.apply(stack, name)):
                print(f"{name}: {file}")
        return
    found = [migration for name in names for migration in run(migrations.status(stack, name))]
    records = [asdict(migration) for migration in found]
    print_listing(("service", "file", "state", "applied_at"), records, as_json=as_json, empty="No migration.")
    # What a newer release applied is no fault of this one.
    if any(migration.state not in ("applied", "unknown") for migration in found):
        raise typer.Exit(1)


@app.command()
def setup(
    timeout: Annotated[float, typer.Option(min=0, metavar="SECONDS", help="How long to wait for the servers.")] = 120,
) -> None:
    """Make databases, roles and topics, waiting until PostgreSQL and Kafka answer. A repeat changes nothing.

    For containers; `akashi up` does it by itself. Passwords come from $AKASHI_SECRETS_DIR/postgres/.
    """
    from console.setup import set_up

    made = run(set_up(find_stack(), timeout_seconds=timeout))
    print(f"Databases are there; topics created: {len(made)}.", file=sys.stderr)


@app.command()
def demo(
    once: Annotated[bool, typer.Option("--once", help="End afterwards; succeeds only if everything happened.")] = False,
    without: Annotated[
        list[str] | None, typer.Option("--without", metavar="PART", help="Leave a part of the stack out.")
    ] = None,
    tls: Annotated[bool, typer.Option("--tls", envvar="AKASHI_TLS", help="Let all parts speak TLS.")] = False,
) -> None:
    """Watch applications become certificates that a purchaser can view, on the local stack."""
    from console.demo.run import run

    raise typer.Exit(run(once=once, without=without or (), tls=tls))


@secrets.command("make")
def make_secrets(
    folder: Annotated[str, typer.Argument(help="Where they go: a folder per service.")],
) -> None:
    """Make every secret of a deployment that is not there yet, and tell which. What was drawn is never changed."""
    from deploy.secrets import SecretsDoNotFit
    from deploy.secrets import make_secrets as make

    if not folder.strip():
        raise Problem("No folder was named: say where the secrets go.")
    is_first = not Path(folder).exists()
    try:
        made = make(Path(folder))
    except SecretsDoNotFit as error:
        raise Problem(str(error)) from None
    except OSError as error:
        raise Problem(f"{folder} can't hold the secrets ({error.strerror}): choose a folder of yours.") from None
    told = f"{len(made)} secrets" if is_first else ", ".join(made) or "nothing, every secret is there"
    print(f"Made in {folder}: {told}.")
