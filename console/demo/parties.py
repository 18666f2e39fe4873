"""The parties of the demo. Each knows its own address and token, and sees what its role sees."""

import ssl
from dataclasses import dataclass, field
from typing import Any

import httpx

Document = dict[str, Any]


class Unexpected(Exception):
    """A party was told something else than it had to be."""


@dataclass
class Party:
    """Someone with a token."""

    base_url: str
    token: str = field(repr=False)
    #: Whose certificates count, where it is https.
    trust: ssl.SSLContext | bool = field(default=True, repr=False)

    async def call(
        self, method: str, path: str, body: Document | None = None, *, expect: int = 200, **headers: str
    ) -> Document:
        """The answer, which must bear the expected status."""
        async with httpx.AsyncClient(base_url=self.base_url, verify=self.trust, timeout=10) as client:
            answer = await client.request(
                method, path, json=body, headers={"Authorization": f"Bearer {self.token}", **headers}
            )
        if answer.status_code != expect:
            raise Unexpected(f"{method} {path} answered {answer.status_code}, not {expect}: {answer.text[:500]}")
        document: Document = answer.json()
        return document


class Contractor(Party):
    """受注者: applies, follows, fetches the key."""

    async def apply(self, form: Document, key: str, *, expect: int = 202) -> Document:
        return await self.call("POST", "/api/applications", form, expect=expect, **{"Idempotency-Key": key})

    async def application(self, application_id: str) -> Document:
        return await self.call("GET", f"/api/applications/{application_id}")

    async def guarantee(self, contract_number: str) -> Document:
        return await self.call("GET", f"/api/guarantees/{contract_number}")

    async def key(self, contract_number: str) -> str:
        answer = await self.call("GET", f"/api/guarantees/{contract_number}/authentication-key")
        return str(answer["authentication_key"])


class Desk(Party):
    """保証会社の審査担当者."""

    async def waiting(self, application_id: str) -> Document | None:
        cursor = ""
        while True:
            page = await self.call("GET", f"/api/desk/applications?limit=100{cursor}")
            for item in page["items"]:
                if item["application_id"] == application_id:
                    return dict(item)
            if page["next_cursor"] is None:
                return None
            cursor = f"&cursor={page['next_cursor']}"

    async def decide(self, application_id: str, action: str, message: str) -> Document:
        return await self.call("POST", f"/api/desk/applications/{application_id}/{action}", {"message": message})

    async def to_print(self, contract_number: str) -> Document | None:
        cursor = ""
        while True:
            page = await self.call("GET", f"/api/desk/paper?limit=100{cursor}")
            for item in page["items"]:
                if item["contract_number"] == contract_number:
                    return dict(item)
            if page["next_cursor"] is None:
                return None
            cursor = f"&cursor={page['next_cursor']}"


class Purchaser(Party):
    """発注者: has number and key from the contractor."""

    async def look_up(self, contract_number: str, key: str) -> Document:
        body = {"contract_number": contract_number, "authentication_key": key}
        return await self.call("POST", "/api/certificates/lookup", body)


@dataclass
class MailBox:
    """What the contractor's mail server received, by the API that Mailpit documents."""

    base_url: str
    trust: ssl.SSLContext | bool = field(default=True, repr=False)
    _read: dict[str, Document] = field(default_factory=dict)

    async def about(self, contract_number: str) -> list[Document]:
        """The messages that name a contract number."""
        async with httpx.AsyncClient(base_url=self.base_url, verify=self.trust, timeout=10) as client:
            newest = (await client.get("/api/v1/messages", params={"limit": 200})).raise_for_status().json()
            for summary in newest["messages"]:
                if summary["ID"] not in self._read:
                    message = await client.get(f"/api/v1/message/{summary['ID']}")
                    self._read[summary["ID"]] = message.raise_for_status().json()
        return [message for message in self._read.values() if contract_number in message["Text"]]
