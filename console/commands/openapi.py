"""`akashi openapi`: what the services promise over HTTP."""

# ruff: noqa: PLC0415 - imports wait until a command runs, so that --help is fast
import sys
from typing import Annotated

import typer

app = typer.Typer(help="HTTP contracts in `services/<name>/openapi.json`, made from the code.", no_args_is_help=True)

Services = Annotated[list[str] | None, typer.Argument(metavar="SERVICE", help="All when left out.", show_default=False)]


@app.command()
def generate(services: Services = None) -> None:
    """Write the files that changed. Connects to nothing."""
    from console import openapi
    from console.services import known_services

    for path in openapi.generate(known_services(services)):
        print(path)


@app.command()
def check(services: Services = None) -> None:
    """Tell which files are not what would be written. Exit 1 when there are any."""
    from console import openapi
    from console.services import known_services

    faults = openapi.check(known_services(services))
    for fault in faults:
        print(fault, file=sys.stderr)
    if faults:
        raise typer.Exit(1)
