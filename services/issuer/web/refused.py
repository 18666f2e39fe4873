"""What a handler said no to, kept for the page that shows the form, or the application as it is by then."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from chassis.web.idempotency import REUSED
from chassis.web.pages import Site
from chassis.web.problems import Problem
from chassis.web.wording import LANGUAGE, noted

CONFLICT: Final = 409
ALREADY_DECIDED: Final = noted("この申込の審査はすでに終わっています。最新の内容をご確認ください。")


@dataclass
class Refused:
    """Nothing yet, or a problem that a person can do something about."""

    problem: Problem | None = None

    @property
    def status(self) -> int:
        return self.problem.status if self.problem else 200

    @property
    def is_typing(self) -> bool:
        """Whether the person can put it right where it was typed."""
        return self.problem is not None and self.problem.slug in ("invalid", REUSED)

    @property
    def is_another(self) -> bool:
        """Whether the form was sent before, with something else in it."""
        return self.problem is not None and self.problem.slug == REUSED

    @property
    def faults(self) -> dict[str, list[str]]:
        faults: dict[str, list[str]] = {}
        for error in self.problem.errors if self.problem else ():
            faults.setdefault(error.field, []).append(error.message_ja if LANGUAGE.get() == "ja" else error.message_en)
        return faults

    def notice(self, site: Site) -> str:
        """Why nothing was done, where it is no fault of typing."""
        if self.problem is None or self.is_typing:
            return ""
        if self.problem.slug == "already-decided":
            return site.wording.gettext(ALREADY_DECIDED)
        return (self.problem.detail if LANGUAGE.get() == "ja" else None) or self.problem.title


@contextlib.contextmanager
def refusals() -> Iterator[Refused]:
    """Keep what is refused; what is not there, or away, goes on as it is."""
    refused = Refused()
    try:
        yield refused
    except Problem as problem:
        refused.problem = problem
        if not refused.is_typing and problem.status != CONFLICT:
            raise
