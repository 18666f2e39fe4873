"""`akashi demo`: brings the stack up, plays every case, shows what was seen, and tells by its exit code."""

import asyncio
import os
import secrets
import ssl
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import httpx
from rich.console import Console
from rich.table import Table

from chassis.tls import trusting
from chassis.web import passwords
from console import accounts
from console.demo.cases import CASES, Case
from console.demo.parties import Contractor, Desk, MailBox, Purchaser, Unexpected
from console.demo.play import Cast, Outcome, play, unwanted_mails
from console.demo.show import show
from console.environment import Stack, find_http_ca, find_stack
from console.launcher import bring_up, take_down
from deploy.local.state import state_folder
from deploy.local.status import StackStatus, is_running
from schemas.applications import Contractor as Company

#: How long everything may take, on a slow machine.
SECONDS = float(os.environ.get("AKASHI_DEMO_SECONDS", "90"))
PARTS = ("intake", "issuer", "registry", "mailbox")
#: Given together, they name a stack that runs elsewhere, and nothing is started here.
VARIABLES = {part: f"AKASHI_{part.upper()}_URL" for part in PARTS}


@dataclass(frozen=True)
class Stage:
    """Where the demo plays."""

    stack: Stack
    urls: Mapping[str, str]
    trust: ssl.SSLContext | bool


def run(*, once: bool, without: Iterable[str] = (), tls: bool = False) -> int:
    """Play the demo. 0 when everything happened; with `once` the stack is left as it was found."""
    console = Console()
    given = {part: os.environ[name] for part, name in VARIABLES.items() if name in os.environ}
    if len(given) == len(PARTS):
        return asyncio.run(_play_all(console, _stage(given), with_pages=not once))
    was_up = is_running(state_folder())
    status = bring_up(without=without, tls=tls)
    try:
        code = asyncio.run(_play_all(console, _stage(_urls(status)), with_pages=not once))
        if not once:
            _stay(console, status)
    finally:
        if not was_up:
            take_down()
    return code


def _stage(urls: Mapping[str, str]) -> Stage:
    ca_file = find_http_ca()
    return Stage(find_stack(kafka=False), urls, True if ca_file is None else trusting(ca_file))


async def _play_all(console: Console, stage: Stage, *, with_pages: bool) -> int:
    run_id = secrets.token_hex(4)
    deadline = time.monotonic() + SECONDS
    mailbox = MailBox(stage.urls.get("mailbox", ""), stage.trust)
    people = [await _people(case, number, run_id, stage) for number, case in enumerate(CASES, 1)]
    casts = [await _cast(these, stage, mailbox) for these in people]
    playing = [play(case, cast, deadline=deadline) for case, cast in zip(CASES, casts, strict=True)]
    outcomes = await asyncio.gather(*playing, return_exceptions=True)
    failures = 0
    for number, (case, outcome) in enumerate(zip(CASES, outcomes, strict=True), 1):
        if isinstance(outcome, Outcome):
            show(console, number, outcome)
            for contract_number in await unwanted_mails(outcome, mailbox):
                console.print(f"[red]✗ {contract_number} was mailed although nobody wished it.[/red]")
                failures += 1
        elif isinstance(outcome, Unexpected | httpx.HTTPError):
            console.print(f"[red]✗ {number}. {case.title}: {outcome or type(outcome).__name__}[/red]", highlight=False)
            failures += 1
        else:
            raise outcome
    if with_pages:
        await _open_pages(console, stage, people, run_id)
    played = len(CASES)
    if failures:
        console.print(f"[red]{failures} of {played} applications did not come to what they must.[/red]")
        return 1
    console.print(f"[green]✓ All {played} applications came to what they must.[/green]")
    return 0


async def _people(case: Case, number: int, run_id: str, stage: Stage) -> tuple[accounts.Account, ...]:
    """New people for every case and run, so that no run meets the limits or the works of another."""
    company = case.company
    identity = f"demo-{run_id}-{number}"
    registered = Company(id=identity, name=company.name, address=company.address, representative=company.representative)
    stack = stage.stack
    return (
        await accounts.add_contractor(stack, identity, registered, company.person),
        await accounts.add_staff(stack, case.surety_id, "審査 見本"),
        await accounts.add_purchaser(stack, case.purchaser_id, "契約 見本"),
    )


async def _cast(people: Iterable[accounts.Account], stage: Stage, mailbox: MailBox) -> Cast:
    tokens = [(await accounts.issue_token(stage.stack, person.id, label="demo", days=1))[0] for person in people]
    return Cast(
        contractor=Contractor(stage.urls.get("intake", ""), tokens[0], stage.trust),
        desk=Desk(stage.urls.get("issuer", ""), tokens[1], stage.trust),
        purchaser=Purchaser(stage.urls.get("registry", ""), tokens[2], stage.trust),
        mailbox=mailbox,
    )


async def _open_pages(
    console: Console, stage: Stage, people: Iterable[tuple[accounts.Account, ...]], run_id: str
) -> None:
    """Let the people of the first two cases (one of each family) sign in on pages, and tell how."""
    password = passwords.draw()
    table = Table(title=f"Pages, for people. Password of all: {password}", title_justify="left", box=None)
    for heading in ("page", "log-in", "who"):
        table.add_column(heading, justify="left", no_wrap=True)
    for case, (contractor, staff, purchaser) in zip(CASES[:2], people, strict=False):
        for account, part, path in (
            (contractor, "intake", f"/contractor/{case.surety_id}/"),
            (staff, "issuer", "/desk/"),
            (purchaser, "registry", "/purchaser/"),
        ):
            login = f"{path.split('/')[1]}-{account.subject if part != 'intake' else case.surety_id}-{run_id}"
            await accounts.set_sign_in(stage.stack, account.id, login=login, password=password)
            table.add_row(f"{stage.urls.get(part, '')}{path}", login, f"{account.person} ({account.subject})")
    console.print(table)


def _urls(status: StackStatus) -> dict[str, str]:
    return {part.name: part.address for part in status.parts if part.name in PARTS}


def _stay(console: Console, status: StackStatus) -> None:
    console.print("\nThe stack goes on running. Ctrl-C stops it.")
    for part in status.parts:
        if part.address.startswith("http"):
            page = {"issuer": "/desk/", "registry": "/purchaser/"}.get(part.name, "")
            console.print(f"  {part.name:<9} {part.address}{page}")
    try:
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        console.print("Stopping…")
