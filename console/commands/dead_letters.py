"""`akashi dead-letters`: records that a service could not take."""

# ruff: noqa: PLC0415 - imports wait until a command runs, so that --help is fast
import json
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from console.commands.options import AsJson
from console.environment import find_stack
from console.output import print_listing, printable
from console.running import run
from deploy.local.problem import Problem

if TYPE_CHECKING:
    from console.dead_letters import Letter

app = typer.Typer(
    help="Records that a service could not take, and parked: look at them, and give them back once the cause is gone.",
    no_args_is_help=True,
)

Group = Annotated[
    str | None, typer.Option(help="Only this consumer group: intake, issuer, notifier or registry.", show_default=False)
]
_LONGEST_HEADER = 200


@app.command("list")
def list_(
    group: Group = None,
    waiting: Annotated[
        bool, typer.Option("--waiting", help="Only those neither given back since they were parked nor settled.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """List dead letters with the reason and the place they come from. Takes nothing from anyone."""
    records = [
        letter.as_json() | ({} if as_json else {"id": letter.id[:8]})
        for letter in _letters(group)
        if letter.waiting or not waiting
    ]
    print_listing(
        ("id", "group", "reason", "origin", "parked_at", "attempts", "redriven", "size_bytes"),
        records,
        as_json=as_json,
        empty="There are no dead letters.",
    )


@app.command()
def show(
    identity: Annotated[str, typer.Argument(metavar="ID", help="The beginning of a dead letter's id.")],
    value: Annotated[bool, typer.Option("--value", help="Show the record's content, too.")] = False,
    group: Group = None,
) -> None:
    """Show one dead letter: its headers, and with --value what is in it."""
    from console import dead_letters

    letter = dead_letters.find(_letters(group), identity)
    for name, header in letter.headers:
        text = header.decode("utf-8", "backslashreplace")
        shown = text if len(text) <= _LONGEST_HEADER else f"{text[:_LONGEST_HEADER]}… ({len(header)} bytes)"
        print(f"{_one_line(name)}: {_one_line(shown)}")
    print(f"size: {letter.size_bytes} bytes")
    if value:
        print(
            "What follows may hold business data and sealed personal data: don't paste it into tickets or chats.",
            file=sys.stderr,
        )
        print(_preview(run(dead_letters.value_of(find_stack(postgres=False).kafka, letter))))


@app.command()
def redrive(  # noqa: PLR0917 - typer passes them by name
    identities: Annotated[
        list[str] | None, typer.Argument(metavar="ID", help="Beginnings of dead letters' ids.", show_default=False)
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="All that wait.")] = False,
    reason: Annotated[str | None, typer.Option(help="With --all: only those whose reason begins so.")] = None,
    group: Group = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be given back.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Also those that were given back three times.")] = False,
) -> None:
    """Give dead letters back to their own group, byte for byte. No other service sees them again.

    What still can't be taken is parked again, with one attempt more.
    """
    from console import dead_letters

    if bool(identities) == everything:
        raise Problem("Say what to give back: give either ids or --all.")
    if reason is not None and not everything:
        raise Problem("--reason narrows --all: leave it out, or give --all in place of the ids.")
    letters = _letters(group)
    if everything:
        chosen = [letter for letter in letters if letter.waiting and letter.reason.startswith(reason or "")]
    else:
        chosen = list(
            {letter.id: letter for letter in (dead_letters.find(letters, i) for i in identities or ())}.values()
        )
    if not force:
        dead_letters.refuse_exhausted(chosen)
    for letter in chosen:
        print(f"{letter.id[:8]} {letter.origin} → {letter.group}")
    if dry_run:
        print(f"Would be given back: {len(chosen)}.", file=sys.stderr)
        return
    kafka = find_stack(postgres=False).kafka
    done = 0
    for name in sorted({letter.group for letter in chosen}):
        done += run(dead_letters.redrive(kafka, name, [letter for letter in chosen if letter.group == name]))
    print(f"Given back: {done}.", file=sys.stderr)


@app.command()
def settle(
    identities: Annotated[list[str], typer.Argument(metavar="ID", help="Beginnings of dead letters' ids.")],
    by: Annotated[str, typer.Option(help="Who settles them.", show_default=False)],
    reason: Annotated[str, typer.Option(help="Why nobody needs them any more.", show_default=False)],
    group: Group = None,
) -> None:
    """Note that dead letters are done with: garbage, or what was made good otherwise. They wait no more, and stay."""
    from datetime import UTC, datetime

    from console import dead_letters
    from console.output import is_visible

    for name, text in (("--by", by), ("--reason", reason)):
        if not text.strip() or len(text) > _LONGEST_HEADER or not all(map(is_visible, text)):
            raise Problem(f"{name} is one line of 1 to {_LONGEST_HEADER} characters: correct it.")
    letters = _letters(group)
    chosen = {letter.id: letter for letter in (dead_letters.find(letters, one) for one in identities)}
    if done := [letter.id[:8] for letter in chosen.values() if not letter.waiting]:
        raise Problem(f"{', '.join(done)} does not wait: settle what `akashi dead-letters list --waiting` shows.")
    kafka, count = find_stack(postgres=False).kafka, 0
    for name in sorted({letter.group for letter in chosen.values()}):
        of_group = [letter for letter in chosen.values() if letter.group == name]
        count += run(
            dead_letters.settle(
                kafka, name, of_group, by=by.strip(), why=reason.strip(), now=datetime.now(UTC).replace(microsecond=0)
            )
        )
    print(f"Settled: {count}.", file=sys.stderr)


def _letters(group: str | None) -> "list[Letter]":
    from console import dead_letters
    from schemas.topics import GROUPS

    if group is not None and group not in GROUPS:
        raise Problem(f"There is no consumer group {group}: choose of {', '.join(GROUPS)}.")
    kafka = find_stack(postgres=False).kafka

    async def read() -> "list[Letter]":
        return [
            letter for name in ([group] if group else GROUPS) for letter in await dead_letters.letters_of(kafka, name)
        ]

    return run(read())


def _one_line(text: str) -> str:
    return printable(text).replace("\n", "\\n")


def _preview(value: bytes | None) -> str:
    """JSON where it is JSON, else the bytes."""
    from console.dead_letters import hexdump

    if value is None:
        return "(no value)"
    try:
        return printable(json.dumps(json.loads(value), ensure_ascii=False, indent=2))
    except (ValueError, RecursionError):
        return hexdump(value)
