"""Every endpoint as its contract describes it, asked with all that a generator thinks of, right and wrong.

Nothing that anybody sends may end in an answer that the contract does not declare; least of all a 5xx.
"""

from collections.abc import Callable
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis import Case
from schemathesis.checks import positive_data_acceptance
from schemathesis.core.result import Ok
from schemathesis.schemas import APIOperation

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


def _test_of(service: str, operation: APIOperation) -> Callable[..., None]:
    only = contract[service].include(path=operation.path, method=operation.method.upper())

    def asked(case: Case, stack: RunningStack, people: dict[str, Client]) -> None:
        headers: dict[str, Any] = {}
        if service in people and case.operation.path.startswith("/api/"):
            headers["Authorization"] = f"Bearer {people[service].token}"
        base_url = stack.url(service)
        case.call_and_validate(base_url=base_url, headers=headers, excluded_checks=BEYOND_THE_SCHEMA, timeout=20)

    test: Callable[..., None] = only.parametrize()(EXAMPLES(asked))
    return test


# A name for each: as schemathesis shares them out, all operations of a contract would have one, and of tests of one name
# one is run where several processes run them.
for _service, _schema in contract.items():
    for _found in _schema.get_all_operations():
        assert isinstance(_found, Ok)
        _operation = _found.ok()
        globals()[f"test_{_service}_answers_as_it_says[{_operation.label}]"] = _test_of(_service, _operation)
