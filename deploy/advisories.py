"""Is anything known against what others wrote? Asks OSV about every package and jar of the bill of materials.

    python -m deploy.advisories [--service https://api.osv.dev]

Ends with 0 when nothing is known, with 1 when something is, and with 3 when OSV could not be asked: which is no answer.
"""

import argparse
import json
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from typing import Any, Final

from deploy.sbom import document

OSV: Final = "https://api.osv.dev"
#: What it takes in one request.
MOST_QUERIES: Final = 1000
KNOWN, NOT_ASKED = 1, 3


class CouldNotAsk(Exception):
    """No answer, or one that is none."""


def advisories(purls: Sequence[str], service: str = OSV) -> Iterator[tuple[str, str]]:
    """(package, id of an advisory) for each that is known. Raises `CouldNotAsk`."""
    for start in range(0, len(purls), MOST_QUERIES):
        asked = purls[start : start + MOST_QUERIES]
        body = json.dumps({"queries": [{"package": {"purl": purl}} for purl in asked]}).encode()
        results = _ask(f"{service}/v1/querybatch", body).get("results", [])
        if len(results) != len(asked):
            raise CouldNotAsk(f"{len(results)} answers to {len(asked)} questions")
        for purl, result in zip(asked, results, strict=True):
            yield from ((purl, each["id"]) for each in result.get("vulns", ()))


def _ask(address: str, body: bytes) -> dict[str, Any]:
    request = urllib.request.Request(address, body, {"Content-Type": "application/json"})  # noqa: S310 - an operator's
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 - as above
            told = json.load(answer)
    except (urllib.error.URLError, TimeoutError, ValueError) as error:
        raise CouldNotAsk(str(error)) from None
    if not isinstance(told, dict):
        raise CouldNotAsk("not an answer of OSV's")
    return told


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m deploy.advisories")
    parser.add_argument("--service", default=OSV)
    given = parser.parse_args()
    purls = sorted({component["purl"] for component in document()["components"] if "purl" in component})
    try:
        known = list(advisories(purls, given.service))
    except CouldNotAsk as error:
        print(f"{given.service} could not be asked ({error}): nothing is known of these packages, good or bad.")
        sys.exit(NOT_ASKED)
    for purl, advisory in known:
        print(f"{purl}: {advisory}, see https://osv.dev/vulnerability/{advisory}")
    print(f"{len(purls)} packages and jars, {len(known)} advisories.")
    sys.exit(KNOWN if known else 0)


if __name__ == "__main__":
    main()
