"""A contractor at intake's counter."""

import itertools
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from chassis.postgres import transaction
from schemas.applications import ApplicationSubmitted
from schemas.certificates import CertificateIssued
from services.intake import domain, store
from services.intake.forms import WorksForm
from tests.support.builders import (
    a_certificate,
    a_record,
    a_registration,
    an_application,
    an_application_form,
)
from tests.support.consuming import a_consumer
from tests.support.services import Person, Site


@dataclass
class Contractor:
    """Somebody who applies and looks."""

    site: Site
    person: Person
    _keys: Any = field(default_factory=itertools.count)

    async def post(self, path: str, document: Any = None, *, key: str | None = None, **options: Any) -> httpx.Response:
        headers = {**self.person.headers, "Idempotency-Key": key or f"key-{next(self._keys)}"}
        content = {} if document is None else {"json": document}
        return await self.site.http.post(path, headers=headers, **content, **options)

    async def apply(self, **changes: Any) -> str:
        """Send the form of 栃木県 with some changes; the application's id."""
        answer = await self.post("/api/applications", an_application_form(**changes))
        assert answer.status_code == 202, answer.text
        return str(answer.json()["application_id"])

    async def get(self, path: str, **query: Any) -> httpx.Response:
        return await self.site.http.get(path, params=query, headers=self.person.headers)

    async def standing(self, application_id: str) -> dict[str, Any]:
        shown: dict[str, Any] = (await self.get(f"/api/applications/{application_id}")).json()
        return shown

    async def hear(self, *events: Any) -> None:
        """Let intake follow what the others tell."""
        await a_consumer(self.site.service, self.site.pool).take([a_record(event) for event in events])


@pytest.fixture
async def contractor(intake):
    return Contractor(intake, await intake.contractor())


@pytest.fixture
def another(intake):
    """A person of another contractor."""

    async def make(identity="sano"):
        return Contractor(intake, await intake.contractor(identity))

    return make


@pytest.fixture
def issue(contractor, keys):
    """A certificate for an application of the contractor's, told to intake; it has arrived unless a test says otherwise."""

    async def make(application_id, *, arrived=True, **changes) -> CertificateIssued:
        event = a_certificate(keys=keys, application_id=application_id, **changes)
        await contractor.hear(event)
        if arrived:
            await contractor.hear(a_registration(event))
        return event

    return make


@pytest.fixture
def sent(intake, contractor):
    """Applications that were sent, without the form: for polls of many."""

    async def make(count) -> list[ApplicationSubmitted]:
        events = [an_application() for _ in range(count)]
        rows = [
            (event, domain.works_key(event.contractor.id, WorksForm(name=event.works.name)), b"") for event in events
        ]
        async with transaction(intake.pool) as tx:
            assert await store.add_applications(tx, rows) == []
        return events

    return make
