"""The `akashi` command, put together."""

from typing import Any

import typer
from typer.core import TyperGroup

from console.commands import accounts, audit, dead_letters, openapi, operations, privacy, tokens, topics
from console.running import fail
from deploy.local.problem import Problem


class Commands(TyperGroup):
    """All commands. Whatever one can't do, it says in a sentence on standard error, and exits with 1."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except Problem as problem:
            fail(problem)


app = typer.Typer(
    cls=Commands,
    help="Akashi (証), electronic surety: run it, look after it, audit it.\n\n"
    "Commands use the local stack of `akashi up`, or the one that AKASHI_KAFKA_BOOTSTRAP, AKASHI_POSTGRES_HOST, "
    "AKASHI_POSTGRES_PORT and AKASHI_SECRETS_DIR name.",
    no_args_is_help=True,
    # Shown locals could be secrets.
    pretty_exceptions_enable=False,
)


def _add_launcher() -> None:
    """The local stack's commands, where this installation has them: up, down, status, clean, logs."""
    try:
        from console import launcher  # noqa: PLC0415 - may be absent
    except ImportError as error:
        if error.name not in {"console", "console.launcher"}:
            raise
        return
    app.add_typer(launcher.app)


_add_launcher()
app.add_typer(operations.app)
app.add_typer(accounts.app, name="accounts")
app.add_typer(tokens.app, name="tokens")
app.add_typer(topics.app, name="topics")
app.add_typer(dead_letters.app, name="dead-letters")
app.add_typer(audit.app, name="audit")
app.add_typer(privacy.app, name="privacy")
app.add_typer(operations.secrets, name="secrets")
app.add_typer(openapi.app, name="openapi")

if __name__ == "__main__":
    app()
