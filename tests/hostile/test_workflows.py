"""Requests that follow from answers, in any order: apply, look, write, withdraw; accept, return, print; and page by page.

Led by the contracts' links, with values right and wrong. However people go on, nobody gets an answer that the contract
does not declare, and what comes of it is what the auditor finds.
"""

import asyncio
import contextlib
import json
import uuid
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.errors import FlakyStrategyDefinition
from schemathesis import Case
from schemathesis.checks import positive_data_acceptance
from schemathesis.core.failures import FailureGroup
from schemathesis.core.transport import Response
from schemathesis.generation.stateful.state_machine import APIStateMachine

from console.openapi import path_of
from tests.support.auditing import auditors_check
from tests.support.builders import a_performance, an_application_form
from tests.support.running import Client, Document, RunningStack, eventually

SCENARIOS = 15
#: Few at a time: what is there changes from one to the next, and what was asked once is not answered the same again.
FEW = settings(
    max_examples=3,
    stateful_step_count=10,
    phases=[Phase.generate],
    database=None,
    derandomize=False,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
#: What the schema lets pass may break a rule of the business all the same.
BEYOND_THE_SCHEMA = [positive_data_acceptance]
#: Above what a surety issues without its desk.
FOR_THE_DESK = {"products__advance_payment__amount_yen": 25_000_000}


def a_new_form(**changes: Any) -> dict[str, Any]:
    """Of works that nobody applied for before."""
    return an_application_form(works__name=f"見本工事　{uuid.uuid4().hex[:12]}", **changes)


@dataclass
class Run:
    """What came of so many scenarios."""

    #: Request and status, how often.
    answers: Counter[tuple[str, int]] = field(default_factory=Counter)
    #: What is not as the contract says.
    broken: list[str] = field(default_factory=list)


def without_security(service: str) -> Document:
    """The contract for whom every request bears the right token: who has none is tried elsewhere."""
    document: Document = json.loads(path_of(service).read_text())
    del document["components"]["securitySchemes"]
    for operations in document["paths"].values():
        for operation in operations.values():
            operation.pop("security", None)
    return document


def run_through(stack: RunningStack, service: str, client: Client) -> Run:
    run = Run()
    answers = run.answers
    machine: type[APIStateMachine] = schemathesis.openapi.from_dict(without_security(service)).as_state_machine()

    class Workflow(machine):  # type: ignore[misc,valid-type]
        def before_call(self, case: Case) -> None:
            if answers.total() % 4 == 0:
                return
            # What a generator seldom hits upon: what keeps the rules of the business, too.
            if case.operation.label == "POST /api/applications":
                case.body = a_new_form(**(FOR_THE_DESK if answers.total() % 2 else {}))
            elif case.operation.label.startswith("POST") and case.operation.label.endswith("/messages"):
                case.body = {"text": "見本"}
            elif case.operation.label.endswith("/return"):
                case.body = {"message": "見本"}

        def get_call_kwargs(self, case: Case) -> dict[str, Any]:
            token = {"Authorization": f"Bearer {client.token}"}
            return {"base_url": stack.url(service), "headers": token, "timeout": 20}

        def validate_response(self, response: Response, case: Case, *_: Any, **kwargs: Any) -> None:
            answers[case.operation.label, response.status_code] += 1
            try:
                case.validate_response(
                    response, excluded_checks=BEYOND_THE_SCHEMA, transport_kwargs=kwargs, recorder=self.recorder
                )
            # Kept, and told at the end: asked again to make it smaller, the service would answer otherwise.
            except FailureGroup as broken:
                run.broken.append(str(broken))

    for number in range(SCENARIOS):
        with contextlib.suppress(FlakyStrategyDefinition):
            seed(number)(Workflow).run(settings=FEW)
    return run


@pytest.mark.timeout(300)
async def test_however_a_contractor_and_the_desk_go_on_the_contract_holds_and_the_auditor_finds_nothing(
    stack: RunningStack, tmp_path: Path
) -> None:
    contractor = await stack.contractor(f"workflow-{uuid.uuid4().hex[:8]}")
    desk = await stack.desk("toto")
    # Something is there of everything: on paper, for the desk, and issued; the newest are the first of a list.
    paper: dict[str, Any] = {"products__performance": a_performance(amount_yen=50_000, form="paper")}
    for changes in (*[paper] * 4, *[FOR_THE_DESK] * 12, {}, {}):
        await contractor.apply(a_new_form(**changes), uuid.uuid4().hex)

    async def all_are_known() -> bool:
        listed = await contractor.all_items("/api/applications")
        known = {product["status"] for item in listed for product in item["products"]}
        return known <= {"queued", "issued", "issued_on_paper"}

    await eventually(all_are_known, 60)

    asked = await asyncio.to_thread(run_through, stack, "intake", contractor)
    decided = await asyncio.to_thread(run_through, stack, "issuer", desk)

    for wanted in (
        ("POST /api/applications", 202),
        ("GET /api/applications/{application_id}", 200),
        ("POST /api/applications/{application_id}/messages", 202),
        ("GET /api/guarantees/{number}", 200),
        ("GET /api/guarantees/{number}/authentication-key", 200),
    ):
        assert asked.answers[wanted], asked.answers
    # Whether it is in time is chance: most are decided within a second.
    assert any(asked.answers["POST /api/applications/{application_id}/withdrawal", status] for status in (202, 409))
    for wanted in (
        ("GET /api/desk/applications/{application_id}", 200),
        ("POST /api/desk/applications/{application_id}/accept", 200),
        ("POST /api/desk/applications/{application_id}/return", 200),
        ("POST /api/desk/paper/{contract_number}/printed", 200),
    ):
        assert decided.answers[wanted], decided.answers
    assert not asked.broken
    assert not decided.broken
    await auditors_check(stack, tmp_path)
