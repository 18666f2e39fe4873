"""When does the mail box refuse a mail on purpose? As Mailpit's chaos triggers do, to try what a sender does then."""

import random
from collections.abc import Mapping
from typing import Any

_NAMES = ("Sender", "Recipient", "Authentication")
_DEFAULT_CODE = 451


class Chaos:
    """How probably each step of a mail fails, and with which SMTP code; never, at first."""

    def __init__(self) -> None:
        self._triggers = {name: {"ErrorCode": _DEFAULT_CODE, "Probability": 0} for name in _NAMES}

    def triggers(self) -> dict[str, dict[str, int]]:
        return self._triggers

    def set(self, wanted: Mapping[str, Any]) -> None:
        """Take these triggers; those that are not named never fire again. ValueError when they make no sense."""
        fresh = {}
        for name in _NAMES:
            trigger = wanted.get(name) or {}
            code, probability = trigger.get("ErrorCode", _DEFAULT_CODE), trigger.get("Probability", 0)
            if not isinstance(code, int) or not 400 <= code <= 599:  # noqa: PLR2004 - SMTP's refusals
                raise ValueError(f"{name}: ErrorCode is a number from 400 to 599")
            if not isinstance(probability, int) or not 0 <= probability <= 100:  # noqa: PLR2004 - a percentage
                raise ValueError(f"{name}: Probability is a number from 0 to 100")
            fresh[name] = {"ErrorCode": code, "Probability": probability}
        self._triggers = fresh

    def answer(self, name: str) -> str | None:
        """The refusal to send now, if any."""
        trigger = self._triggers[name]
        if random.randrange(100) >= trigger["Probability"]:  # noqa: S311 - no secret
            return None
        code = trigger["ErrorCode"]
        return f"{code} {code // 100}.3.0 chaos: {name.lower()} refused on purpose"
