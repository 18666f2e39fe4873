"""Applications for fault tests: a mix of forms and wishes, so small that the rules accept them."""

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from tests.support.builders import a_performance, an_advance_payment, an_application_form
from tests.support.running import Client, Document

WORKERS = 12


@dataclass
class Sent:
    """What was answered, and what must come of it."""

    #: Application id → product → the status it must end with.
    ends: dict[str, dict[str, str]] = field(default_factory=dict)
    #: Application id → whom its letters go to, where any are wished.
    letters_to: dict[str, str] = field(default_factory=dict)
    wished_mails: int = 0
    #: Application id → what contractor and desk wrote about it.
    written: dict[str, tuple[str, str]] = field(default_factory=dict)
    #: Contract numbers of what purchasers opened.
    opened: set[str] = field(default_factory=set)
    #: When the last application was answered, or decided by a person, by the wall clock.
    answered_at: float = 0.0
    #: How long the slowest application was sent again and again until its 202.
    longest_wait_seconds: float = 0.0

    def add(self, other: "Sent") -> None:
        self.ends |= other.ends
        self.letters_to |= other.letters_to
        self.wished_mails += other.wished_mails
        self.written |= other.written
        self.opened |= other.opened
        self.answered_at = max(self.answered_at, other.answered_at)
        self.longest_wait_seconds = max(self.longest_wait_seconds, other.longest_wait_seconds)

    @property
    def electronic(self) -> int:
        return sum(status == "issued" for ends in self.ends.values() for status in ends.values())


def nth_form(n: int) -> tuple[Document, dict[str, str], bool]:
    """The form, how its products must end, and whether mails are wished."""
    wished = n % 3 != 0
    form = an_application_form(
        works__price_yen=500_000,
        completion_mail_wanted=wished,
        products__advance_payment=an_advance_payment(amount_yen=100_000),
    )
    ends = {"advance_payment": "issued"}
    if n % 5 == 0:
        form["products"]["performance"] = a_performance(amount_yen=50_000, form="paper")
        ends["performance"] = "issued_on_paper"
    elif n % 4 == 0:
        form["products"]["performance"] = a_performance(amount_yen=50_000)
        ends["performance"] = "issued"
    return form, ends, wished


async def send(
    contractor: Client,
    count: int,
    *,
    after_each: Callable[[int], Awaitable[None]] | None = None,
    sent: Sent | None = None,
) -> Sent:
    """Send so many applications, several at once, and wait for every answer; noted in `sent`, if there is one."""
    sent = Sent() if sent is None else sent
    numbers = iter(range(count))

    async def work() -> None:
        for n in numbers:
            form, ends, wished = nth_form(n)
            key, began = uuid.uuid4().hex, time.monotonic()
            # An address of its own: a letter that goes to another's is seen.
            form["mail_address"] = f"{key[:12]}-{form['mail_address']}"
            application_id = await contractor.apply(form, key)
            sent.longest_wait_seconds = max(sent.longest_wait_seconds, time.monotonic() - began)
            sent.answered_at = time.time()
            sent.ends[application_id] = ends
            if wished:
                sent.letters_to[application_id] = form["mail_address"]
                sent.wished_mails += sum(status == "issued" for status in ends.values())
            if after_each is not None:
                await after_each(len(sent.ends))

    await asyncio.gather(*(work() for _ in range(WORKERS)))
    return sent


async def not_at_their_end(contractor: Client, sent: Sent) -> set[str]:
    """Which applications that were answered with 202 are not listed, or not decided and issued as they must be."""
    listed = {
        item["application_id"]: {product["product"]: product["status"] for product in item["products"]}
        for item in await contractor.all_items("/api/applications")
    }
    return {application_id for application_id, ends in sent.ends.items() if listed.get(application_id) != ends}


async def has_come_to_its_end(contractor: Client, sent: Sent) -> bool:
    return not await not_at_their_end(contractor, sent)


async def mails_told(contractor: Client, outcome: str) -> int:
    """How many of a contractor's guarantees show that mail outcome."""
    guarantees = await contractor.all_items("/api/guarantees")
    return sum((guarantee["mail"] or {}).get("outcome") == outcome for guarantee in guarantees)
