"""`akashi topics`: where events travel."""

# ruff: noqa: PLC0415 - imports wait until a command runs, so that --help is fast
import sys
from typing import Annotated, Any

import typer

from console.commands.options import AsJson
from console.environment import find_stack
from console.output import print_json, print_listing
from console.running import run

app = typer.Typer(help="Kafka topics, as `schemas/topics.py` declares them.", no_args_is_help=True)


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """List the declared topics with writer and readers. Asks no broker."""
    from schemas.topics import BUSINESS, GROUPS, dead_letters, redrive

    records: list[dict[str, Any]] = [
        {
            "name": topic.name,
            "writer": topic.writer,
            "readers": list(topic.readers),
            "key": topic.key,
            "partitions": topic.partitions,
            "keeps": "the last of a key" if topic.compacted else "everything",
            "events": [event.__name__ for event in topic.events],
        }
        for topic in BUSINESS
    ]
    for group in GROUPS:
        own: dict[str, Any] = {"key": "the record's own", "partitions": None, "keeps": "everything", "events": []}
        records.append({"name": dead_letters(group), "writer": f"{group}, operator", "readers": ["operator"], **own})
        records.append({"name": redrive(group), "writer": "operator", "readers": [group], **own})
    print_listing(("name", "writer", "readers", "key", "keeps"), records, as_json=as_json, empty="No topic.")


@app.command()
def create(
    revoke: Annotated[
        bool,
        typer.Option("--revoke", help="Take away, too, what no topic declares: no newer release may be running."),
    ] = False,
) -> None:
    """Create the topics that are missing, and the rules of who may use them. A repeat changes nothing."""
    from chassis.kafka_acls import ensure_acls
    from chassis.kafka_topics import ensure_topics

    kafka = find_stack(postgres=False).kafka_administrator
    made = run(ensure_topics(kafka))
    for name in made:
        print(name)
    granted, taken = run(ensure_acls(kafka, and_no_others=revoke))
    for rule in granted:
        print(rule)
    for rule in taken:
        print(f"no longer: {rule}")
    print(f"Created: {len(made)}. Rules granted: {len(granted)}, taken away: {len(taken)}.", file=sys.stderr)


@app.command()
def check(as_json: AsJson = False) -> None:
    """Compare the broker's partitions, settings and rules with what is declared. Exit 1 when they differ."""
    from console.topic_check import check_rules, check_topics

    kafka = find_stack(postgres=False).kafka
    found = [*run(check_topics(kafka)), *run(check_rules(kafka))]
    if as_json:
        print_json({"equal": not found, "differences": found})
    else:
        for difference in found:
            print(difference)
        if not found:
            print("The broker's topics, and who may use them, are as declared.", file=sys.stderr)
    if found:
        raise typer.Exit(1)
