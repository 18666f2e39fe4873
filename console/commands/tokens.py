"""`akashi tokens`: what a person or a program shows to be let in."""

# ruff: noqa: PLC0415 - imports wait until a command runs, so that --help is fast
import sys
from typing import Annotated
from uuid import UUID

import typer

from console.commands.options import AsJson
from console.environment import find_stack
from console.output import print_listing
from console.running import run
from deploy.local.problem import Problem

app = typer.Typer(help="Access tokens of accounts. Only their hashes are kept.", no_args_is_help=True)


@app.command()
def issue(
    account: Annotated[UUID, typer.Option(help="The account's id, see `akashi accounts list`.")],
    days: Annotated[int, typer.Option(min=1, max=3650, help="How long the token is valid.")] = 90,
    label: Annotated[str, typer.Option(help="What it is for, as `akashi tokens list` shows it.")] = "console",
    service: Annotated[
        str | None, typer.Option(help="Look only in intake, issuer or registry. All three when left out.")
    ] = None,
) -> None:
    """Make a token and print it, this once: it can't be shown again."""
    from console import accounts

    if service is not None and service not in accounts.ROLES:
        raise Problem(f"People don't sign in to {service}: choose of {', '.join(accounts.ROLES)}.")
    token, expires_at = run(
        accounts.issue_token(find_stack(kafka=False), account, label=label, days=days, service=service)
    )
    print(token)
    print(f"Shown this once; valid until {expires_at.isoformat()}.", file=sys.stderr)


@app.command()
def revoke(
    account: Annotated[UUID | None, typer.Option(help="Revoke all tokens of this account.")] = None,
    token: Annotated[str | None, typer.Option(help="Revoke one: its eight digits in `akashi tokens list`.")] = None,
) -> None:
    """Revoke tokens: they stop working at once."""
    from console import accounts

    if token is not None and account is None:
        revoked = run(accounts.revoke_token(find_stack(kafka=False), token.lower()))
    elif account is not None and token is None:
        revoked = run(accounts.revoke_tokens(find_stack(kafka=False), account))
    else:
        raise Problem("Say which tokens to revoke: give either --account or --token.")
    if not revoked:
        raise Problem("No token was revoked: see `akashi tokens list` for those that are valid.")
    print(f"Revoked: {revoked}.", file=sys.stderr)


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """List all tokens by the first digits of their hash."""
    from console import accounts

    print_listing(
        ("token", "account", "label", "scopes", "expires_at", "revoked_at"),
        run(accounts.list_tokens(find_stack(kafka=False))),
        as_json=as_json,
        empty="There is no token yet: `akashi tokens issue --help`.",
    )
