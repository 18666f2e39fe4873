"""Keys and contact data are nowhere in the clear: not in a database file, the WAL, a Kafka segment, a log or a mail."""

import base64
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fault.load import has_come_to_its_end, mails_told, send
from tests.support.running import RunningStack, eventually

CHUNK_BYTES = 1 << 20


def _files_holding(folder: Path, needles: list[bytes]) -> Iterator[tuple[Path, bytes]]:
    overlap = max(map(len, needles))
    for path in folder.rglob("*"):
        if not path.is_file() or path.is_symlink():
            continue
        tail = b""
        with path.open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                text = tail + chunk
                yield from ((path, needle) for needle in needles if needle in text)
                tail = chunk[-overlap:]


@pytest.mark.timeout(300)
async def test_no_key_and_no_address_is_stored_or_logged_in_the_clear(stack: RunningStack) -> None:
    if stack.outside:
        pytest.skip("the containers' files are not on this machine; the local stack's are")
    contractor = await stack.contractor(f"secret-{uuid.uuid4().hex[:8]}")
    sent = await send(contractor, 30)
    await eventually(lambda: has_come_to_its_end(contractor, sent), 60)

    async def told() -> bool:
        return await mails_told(contractor, "sent") == sent.wished_mails

    await eventually(told, 60)
    purchaser = await stack.purchaser("tochigi")
    keys: list[bytes] = []
    for guarantee in await contractor.all_items("/api/guarantees"):
        if guarantee["form"] != "electronic":
            continue
        number = guarantee["contract_number"]
        key = (await contractor.document(f"/api/guarantees/{number}/authentication-key"))["authentication_key"]
        for given in (key, key[::-1])[: 2 if len(keys) < 20 else 1]:
            body = {"contract_number": number, "authentication_key": given}
            answer = await purchaser.call("POST", "/api/certificates/lookup", body)
            assert answer.status_code == (200 if given == key else 404), answer.text
            assert given not in answer.text
        keys += [key.encode(), base64.b64encode(key.encode())]
    assert len(keys) == 2 * sent.electronic

    assert list(_files_holding(stack.state, keys)) == []
    # The address is in the mails, and nowhere else.
    address = [b"keiri@takasaki-kensetsu.example"]
    places = {path.relative_to(stack.state).parts[0] for path, _ in _files_holding(stack.state, address)}
    assert places == {"mailbox"}
