"""Every endpoint as its contract describes it, asked with all that a generator thinks of, right and wrong.

Nothing that anybody sends may end in an answer that the contract does not declare; least of all a 5xx.
"""

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis import Case
from schemathesis.checks import positive_data_acceptance

from console.openapi import path_of
from tests.support.running import Client, RunningStack

EXAMPLES = settings(max_examples=30, suppress_health_check=list(HealthCheck), print_blob=False)
#: What the schema lets pass may break a rule of the business all the same.
BEYOND_THE_SCHEMA = [positive_data_acceptance]

contract = {
    name: schemathesis.openapi.from_path(path_of(name)) for name in ("intake", "issuer", "registry", "notifier")
}


@pytest.fixture(scope="module")
async def people(stack: RunningStack) -> dict[str, Client]:
    return {
        "intake": await stack.contractor("hostile"),
        "issuer": await stack.desk("toto"),
        "registry": await stack.purchaser("tochigi"),
    }


def asked(case: Case, stack: RunningStack, people: dict[str, Client], service: str) -> None:
    headers: dict[str, Any] = {}
    if service in people and case.operation.path.startswith("/api/"):
        headers["Authorization"] = f"Bearer {people[service].token}"
    case.call_and_validate(base_url=stack.url(service), headers=headers, excluded_checks=BEYOND_THE_SCHEMA, timeout=20)


@contract["intake"].parametrize()
@EXAMPLES
def test_intake_answers_as_it_says(case: Case, stack: RunningStack, people: dict[str, Client]) -> None:
    asked(case, stack, people, "intake")


@contract["issuer"].parametrize()
@EXAMPLES
def test_the_desk_answers_as_it_says(case: Case, stack: RunningStack, people: dict[str, Client]) -> None:
    asked(case, stack, people, "issuer")


@contract["registry"].parametrize()
@EXAMPLES
def test_the_registry_answers_as_it_says(case: Case, stack: RunningStack, people: dict[str, Client]) -> None:
    asked(case, stack, people, "registry")


@contract["notifier"].parametrize()
@EXAMPLES
def test_the_notifier_answers_as_it_says(case: Case, stack: RunningStack, people: dict[str, Client]) -> None:
    asked(case, stack, people, "notifier")
