"""`akashi accounts`: who may sign in."""

# ruff: noqa: PLC0415 - imports wait until a command runs, so that --help is fast
import sys
from typing import Annotated
from uuid import UUID

import typer

from console.commands.options import AsJson
from console.environment import find_stack
from console.output import print_listing
from console.running import run

app = typer.Typer(
    help="People who may sign in, for a contractor (受注者), a surety (保証会社) or a purchaser (発注者).",
    no_args_is_help=True,
)

Person = Annotated[str, typer.Option(help="The person's name (担当者), as others read it.", show_default=False)]


@app.command("add-contractor")
def add_contractor(
    identity: Annotated[str, typer.Option("--id", help="The contractor's id, such as shimotsuke-kensetsu.")],
    person: Person,
    name: Annotated[str | None, typer.Option(help="Name (商号) of a new contractor, as certificates print it.")] = None,
    address: Annotated[str | None, typer.Option(help="Address (住所) of a new contractor.")] = None,
    representative: Annotated[str | None, typer.Option(help="Its representative (代表者), with title.")] = None,
) -> None:
    """Register a contractor (受注者), and one of its people.

    For another person of a contractor that is registered, give only --id and --person. Prints the account's id.
    """
    from console import accounts

    checked = accounts.contractor_id(identity)
    contractor = accounts.complete_contractor(checked, name, address, representative)
    who = accounts.person_name(person)
    _tell(run(accounts.add_contractor(find_stack(kafka=False), checked, contractor, who)).id)


@app.command("add-staff")
def add_staff(
    surety: Annotated[str, typer.Option(help="The surety's id in reference data, such as toto.")], person: Person
) -> None:
    """Let a person of a surety (保証会社) decide applications at the desk (審査). Prints the account's id."""
    from console import accounts

    known, who = accounts.known_surety(surety), accounts.person_name(person)
    _tell(run(accounts.add_staff(find_stack(kafka=False), known, who)).id)


@app.command("add-purchaser")
def add_purchaser(
    purchaser: Annotated[str, typer.Option(help="The purchaser's id in reference data, such as tochigi.")],
    person: Person,
) -> None:
    """Let a person of a purchaser (発注者) view certificates by number and key. Prints the account's id."""
    from console import accounts

    known, who = accounts.known_purchaser(purchaser), accounts.person_name(person)
    _tell(run(accounts.add_purchaser(find_stack(kafka=False), known, who)).id)


@app.command("set-password")
def set_password(
    account: Annotated[UUID, typer.Argument(help="The account's id.", metavar="ACCOUNT")],
    login: Annotated[str, typer.Option(help="The name to sign in with (お客様ID, 利用者ID).", show_default=False)],
) -> None:
    """Let a person sign in on pages. Prints a password that has to be changed at the first sign-in, within 14 days.

    Also for who forgot theirs: the old one stops working, and every browser of the account is signed out.
    """
    from console import accounts

    print(run(accounts.set_sign_in(find_stack(kafka=False), account, login=login)))


@app.command("remove-code")
def remove_code(account: Annotated[UUID, typer.Argument(help="The account's id.", metavar="ACCOUNT")]) -> None:
    """Let a person sign in without a code, who lost what showed theirs: make sure first that it is they who ask.

    Every browser of the account is signed out. A new code is set up on its page パスワードとログイン.
    """
    from console import accounts

    run(accounts.remove_code(find_stack(kafka=False), account))
    print("Removed: the password alone opens the account now.", file=sys.stderr)


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """List all accounts of the three services."""
    from console import accounts

    print_listing(
        ("id", "role", "subject", "person", "created_at", "disabled_at"),
        run(accounts.list_accounts(find_stack(kafka=False))),
        as_json=as_json,
        empty="There is no account yet: `akashi accounts add-contractor --help`.",
    )


@app.command()
def disable(account: Annotated[UUID, typer.Argument(help="The account's id.", metavar="ACCOUNT")]) -> None:
    """Disable an account: its tokens stop working at once. What the person did stays on record."""
    from console import accounts

    done = run(accounts.disable(find_stack(kafka=False), account))
    print(f"Disabled: {done.person} of {done.subject}.", file=sys.stderr)


def _tell(account: UUID) -> None:
    """The id alone on standard output, for programs; what comes next on standard error, for people."""
    print(account)
    print(f"Next, for pages: akashi accounts set-password {account} --login NAME", file=sys.stderr)
    print(f"For programs, a token: akashi tokens issue --account {account}", file=sys.stderr)
