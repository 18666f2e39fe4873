"""`akashi demo`: brings the stack up, plays every case, shows what was seen, and tells by its exit code."""

import asyncio
import os
import secrets
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import httpx
from rich.console import Console

from console import accounts
from console.demo.cases import CASES, Case
from console.demo.parties import Contractor, Desk, MailBox, Purchaser, Unexpected
from console.demo.play import Cast, Outcome, play, unwanted_mails
from console.demo.show import show
from console.environment import Stack, find_stack
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


def run(*, once: bool, without: Iterable[str] = ()) -> int:
    """Play the demo. 0 when everything happened; with `once` the stack is left as it was found."""
    console = Console()
    given = {part: os.environ[name] for part, name in VARIABLES.items() if name in os.environ}
    if len(given) == len(PARTS):
        return asyncio.run(_play_all(console, Stage(find_stack(kafka=False), given)))
    was_up = is_running(state_folder())
    status = bring_up(without=without)
    try:
        code = asyncio.run(_play_all(console, Stage(find_stack(kafka=False), _urls(status))))
        if not once:
            _stay(console, status)
    finally:
        if not was_up:
            take_down()
    return code


async def _play_all(console: Console, stage: Stage) -> int:
    run_id = secrets.token_hex(4)
    deadline = time.monotonic() + SECONDS
    mailbox = MailBox(stage.urls.get("mailbox", ""))
    casts = [await _cast(case, number, run_id, stage, mailbox) for number, case in enumerate(CASES, 1)]
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
    played = len(CASES)
    if failures:
        console.print(f"[red]{failures} of {played} applications did not come to what they must.[/red]")
        return 1
    console.print(f"[green]✓ All {played} applications came to what they must.[/green]")
    return 0


async def _cast(case: Case, number: int, run_id: str, stage: Stage, mailbox: MailBox) -> Cast:
    """New people for every case and run, so that no run meets the limits or the works of another."""
    company = case.company
    identity = f"demo-{run_id}-{number}"
    registered = Company(id=identity, name=company.name, address=company.address, representative=company.representative)
    stack = stage.stack
    contractor = await accounts.add_contractor(stack, identity, registered, company.person)
    staff = await accounts.add_staff(stack, case.surety_id, "審査 見本")
    purchaser = await accounts.add_purchaser(stack, case.purchaser_id, "契約 見本")
    tokens = [
        (await accounts.issue_token(stack, account.id, label="demo", days=1))[0]
        for account in (contractor, staff, purchaser)
    ]
    return Cast(
        contractor=Contractor(stage.urls.get("intake", ""), tokens[0]),
        desk=Desk(stage.urls.get("issuer", ""), tokens[1]),
        purchaser=Purchaser(stage.urls.get("registry", ""), tokens[2]),
        mailbox=mailbox,
    )


def _urls(status: StackStatus) -> dict[str, str]:
    return {part.name: part.address for part in status.parts if part.name in PARTS}


def _stay(console: Console, status: StackStatus) -> None:
    console.print("\nThe stack goes on running. Ctrl-C stops it.")
    for part in status.parts:
        if part.address.startswith("http"):
            page = "/docs" if part.name in ("intake", "issuer", "registry") else ""
            console.print(f"  {part.name:<9} {part.address}{page}")
    console.print("  People to sign in as: akashi accounts list; a token for one: akashi tokens issue")
    try:
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        console.print("Stopping…")
