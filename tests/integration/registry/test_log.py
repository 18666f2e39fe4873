"""Every certificate, registration and view is a leaf, once, in the transaction that makes it true."""

import asyncio
import base64
import io
import json
import re
import urllib.parse
import uuid
from datetime import timedelta
from functools import partial

import asyncpg
import pypdf
import pytest

from chassis.decoding import Received
from chassis.lifecycle import Progress
from chassis.metrics import MUST_NEVER
from chassis.outbox import Outbox
from chassis.postgres import transaction
from schemas.authentication_key import secret_id
from schemas.registrations import CertificateRegistered
from schemas.views import CertificateViewed
from services.registry import handlers
from services.registry.app import make_service as make_registry
from services.registry.checking import recorded_of
from services.registry.domain import Limits
from services.registry.log import documents, store
from services.registry.log.appending import Arrival, append_old_certificates
from services.registry.log.catching_up import catch_up
from services.registry.log.proving import prove
from services.registry.log.signing import ContradictsItself, Signing
from services.registry.settings import RegistrySettings
from tests.integration.registry.conftest import KEY, PLACE, WAITING
from tests.support.builders import CAUSE, a_certificate, a_record
from tests.support.clock import NOON
from tests.support.consuming import a_consumer, parked
from tests.support.waiting import eventually
from transparency import merkle
from transparency.checkpoints import Trust, open_checkpoint
from transparency.commitments import commitment
from transparency.merkle import Frontier, leaf_hash
from transparency.proofs import verify_proof
from transparency.signatures import SignerKey, VerifierKey
from transparency.tiles import Tile, TileReader, parse_bundle, tiles_of

LEAVES = "SELECT index, kind, subject, salt, commitment FROM leaf ORDER BY index"


def naive_root(hashes):
    """RFC 6962 §2.1, word by word."""
    if not hashes:
        return merkle.EMPTY_ROOT
    if len(hashes) == 1:
        return hashes[0]
    split = 1 << ((len(hashes) - 1).bit_length() - 1)
    return merkle.node_hash(naive_root(hashes[:split]), naive_root(hashes[split:]))


@pytest.fixture
def take(registry):
    async def take_these(*events, pool=None):
        consumer = a_consumer(registry.service, pool or registry.pool)
        await consumer.take([a_record(event) for event in events])

    return take_these


@pytest.fixture
def signing(registry, keys, clock):
    text = (keys.of("registry") / "log_key").read_text()
    key = SignerKey.parse(text)
    return Signing(pool=lambda: registry.pool, clock=clock, signer=key, origin=key.name, draw=handlers.draw_salt)


@pytest.fixture
def trust(keys):
    key = VerifierKey.parse((keys.of("registry") / "log_verifier_key").read_text())
    return Trust(key.name, (key,))


async def told(registry, kind):
    return [kind.model_validate_json(value) for value in await registry.outbox(kind.__name__)]


async def check_whole(pool):
    """The head is what the leaves' rows make, without a gap; return the rows."""
    rows = await pool.fetch(LEAVES)
    async with transaction(pool) as tx:
        head = await store.head(tx)
    assert [row["index"] for row in rows] == list(range(head.size))
    hashes = [leaf_hash(row["commitment"]) for row in rows]
    assert head.root() == naive_root(hashes)
    _, gained = Frontier().extend(hashes)
    tiles = await pool.fetch("SELECT level, index, hash FROM tile_node ORDER BY level, index")
    assert [tuple(row) for row in tiles] == [one for one in gained if one[0]]
    return rows


async def test_a_certificate_has_two_leaves_and_its_event_tells_what_they_are_made_of(registry, take, keys):
    event = a_certificate(keys=keys)
    await take(a_certificate(keys=keys), event)

    rows = await check_whole(registry.pool)
    (arrived,) = [
        one for one in await told(registry, CertificateRegistered) if one.certificate_id == event.certificate_id
    ]

    assert [(row["kind"], row["subject"]) for row in rows[2:]] == [
        ("certificate", event.certificate_id),
        ("registration", event.certificate_id),
    ]
    assert arrived.leaf_index == 2
    salt = base64.b64decode(arrived.salt)
    registration = documents.of_registration(
        **{
            name: getattr(arrived, name)
            for name in ("certificate_id", "contract_number", "version", "content_sha256", "registered_at")
        }
    )
    assert rows[2]["commitment"] == commitment(
        documents.salt_of(salt, "certificate"), documents.of_issued(recorded_of(event))
    )
    assert rows[3]["commitment"] == commitment(documents.salt_of(salt, "registration"), registration)


async def test_a_repeat_appends_nothing(registry, take, keys):
    events = [a_certificate(keys=keys) for _ in range(3)]
    await take(*events, events[0])
    before = await check_whole(registry.pool)

    await take(*events)

    assert await check_whole(registry.pool) == before
    assert len(before) == 6


async def test_a_registration_is_never_earlier_than_the_issue(registry, take, keys):
    later = registry.service.runtime.clock.now() + timedelta(hours=1)
    await take(a_certificate(keys=keys, issued_at=later))

    (arrived,) = await told(registry, CertificateRegistered)
    assert arrived.registered_at == later == await registry.pool.fetchval("SELECT registered_at FROM certificate")


async def test_a_view_is_never_earlier_than_the_registration(registry, issue, at_tochigi):
    later = registry.service.runtime.clock.now() + timedelta(hours=1)
    event = await issue(issued_at=later)

    assert await at_tochigi.opens(event.contract_number)

    (viewed,) = await told(registry, CertificateViewed)
    assert viewed.viewed_at == later == await registry.pool.fetchval("SELECT viewed_at FROM view")


async def test_what_is_rolled_back_leaves_no_leaf(registry, take, keys):
    first = a_certificate(keys=keys)
    second = a_certificate(keys=keys, contract=first.contract_number)
    await take(first)

    await take(second, a_certificate(keys=keys))

    assert len(await parked(registry.pool)) == 1
    assert len(await check_whole(registry.pool)) == 4


async def test_many_who_append_at_once_make_one_log_without_gaps(registry, databases, take, keys):
    events = [a_certificate(keys=keys) for _ in range(240)]
    async with asyncpg.create_pool(**databases.address("registry"), min_size=4, max_size=4) as other:
        polls = [events[n : n + 20] for n in range(0, 240, 20)]
        await asyncio.gather(*(take(*poll, pool=pool) for poll in polls for pool in (registry.pool, other)))

    rows = await check_whole(registry.pool)
    places = {one.certificate_id: one.leaf_index for one in await told(registry, CertificateRegistered)}
    assert len(rows) == 480
    assert {row["subject"]: row["index"] for row in rows if row["kind"] == "certificate"} == places


async def test_a_view_is_a_leaf_after_its_registration(registry, certificate, at_tochigi):
    await at_tochigi.look_up(certificate.contract_number)

    rows = await check_whole(registry.pool)
    (viewed,) = await told(registry, CertificateViewed)
    assert (rows[2]["kind"], rows[2]["subject"], viewed.leaf_index) == ("view", viewed.view_id, 2)
    salt = documents.salt_of(base64.b64decode(viewed.salt), "view")
    assert rows[2]["commitment"] == commitment(salt, documents.of_viewed(viewed))


async def test_the_same_events_make_the_same_log_again(registry, databases, issue, at_tochigi, keys):
    first = await issue()
    await at_tochigi.look_up(first.contract_number)
    second = await issue()
    await at_tochigi.look_up(second.contract_number)
    await at_tochigi.look_up(first.contract_number)
    before = [
        await registry.pool.fetch(f"SELECT * FROM {table} ORDER BY 1, 2")
        for table in ("leaf", "log_head", "certificate", "view")
    ]
    account = await registry.pool.fetchrow("SELECT * FROM account")
    arrivals = {one.certificate_id: one for one in await told(registry, CertificateRegistered)}
    viewed = await told(registry, CertificateViewed)

    class Recorded:
        def of(self, event):
            one = arrivals[event.certificate_id]
            return Arrival(one.registered_at, base64.b64decode(one.salt))

    registering = handlers.Registering(
        clock=registry.service.runtime.clock,
        outbox=Outbox("registry"),
        limits=Limits(1, 1, timedelta(1)),
        arrivals=Recorded(),
        peppers={secret_id(keys.pepper): keys.pepper},
    )
    await registry.pool.close()
    await databases.fresh("registry")
    async with asyncpg.create_pool(**databases.address("registry"), min_size=1, max_size=2) as pool:
        columns = ", ".join(account.keys())
        places = ", ".join(f"${n}" for n in range(1, len(account) + 1))
        await pool.execute(f"INSERT INTO account ({columns}) VALUES ({places})", *account.values())

        async def replay(issued, seen):
            async with transaction(pool) as tx:
                await handlers.register_certificates(
                    tx, [Received(issued, CAUSE, a_record(issued))], registering=registering
                )
            async with transaction(pool) as tx:
                await handlers.replay_views(tx, seen)

        await replay(first, viewed[:1])
        await replay(second, viewed[1:])
        await replay(second, viewed)

        after = [
            await pool.fetch(f"SELECT * FROM {table} ORDER BY 1, 2")
            for table in ("leaf", "log_head", "certificate", "view")
        ]
        assert after == before
        async with transaction(pool) as tx:
            wrong = viewed[0].model_copy(update={"view_id": uuid.uuid4()})
            with pytest.raises(handlers.PlaceDiffers):
                await handlers.replay_views(tx, [wrong])


async def test_what_is_older_than_the_log_gets_its_leaves_in_its_order(registry, issue, at_tochigi):
    events = [await issue() for _ in range(3)]
    for event in events:
        await at_tochigi.look_up(event.contract_number)
    await registry.pool.execute("TRUNCATE leaf, tile_node; UPDATE log_head SET size = 0, frontier = '{}'")
    # Looked at before its certificate is in the log: the view has no place yet, and tells none.
    await at_tochigi.look_up(events[0].contract_number)
    assert (await told(registry, CertificateViewed))[-1].leaf_index is None

    caught = await asyncio.gather(*(catch_up(registry.pool, handlers.draw_salt) for _ in range(2)))

    rows = await check_whole(registry.pool)
    assert max(caught) == 7
    assert [row["kind"] for row in rows] == ["certificate", "registration"] * 3 + ["view"] * 4
    assert [row["subject"] for row in rows[:6:2]] == [event.certificate_id for event in events]
    assert await catch_up(registry.pool, handlers.draw_salt, Progress("test", stale_after_seconds=1)) == 0


async def test_a_view_waits_for_its_certificate_to_be_caught_up_and_comes_after_it(registry, certificate, at_tochigi):
    await registry.pool.execute("TRUNCATE leaf, tile_node; UPDATE log_head SET size = 0, frontier = '{}'")
    async with transaction(registry.pool) as tx:
        await append_old_certificates(tx, [certificate.certificate_id], [handlers.draw_salt()])
        looking = asyncio.create_task(at_tochigi.look_up(certificate.contract_number))
        await eventually(partial(registry.pool.fetchval, WAITING))
    await looking

    assert [row["kind"] for row in await check_whole(registry.pool)] == ["certificate", "registration", "view"]


# --- checkpoints --------------------------------------------------------------------------------------------------------


async def test_a_checkpoint_is_of_the_log_as_it_is_and_signed_once(registry, signing, take, keys, trust):
    empty = await signing.sign_newest()
    await take(*[a_certificate(keys=keys) for _ in range(3)])
    signed = await signing.sign_newest()

    opened = open_checkpoint(signed.note, trust)
    rows = await check_whole(registry.pool)
    assert (empty.size, opened.checkpoint.size, opened.signed_at) == (0, 6, int(NOON.timestamp()))
    assert opened.checkpoint.root == naive_root([leaf_hash(row["commitment"]) for row in rows])
    assert await signing.sign_newest() is None
    served = await registry.http.get("/log/checkpoint")
    assert (served.text, served.headers["content-type"]) == (signed.note, "text/plain; charset=utf-8")
    assert (await registry.http.get("/log/key")).text == f"{trust.log_keys[0]}\n"


async def test_two_who_sign_at_once_sign_one_checkpoint(registry, signing, take, keys):
    await take(a_certificate(keys=keys))

    await asyncio.gather(*(signing.sign_newest() for _ in range(8)))

    assert await registry.pool.fetchval("SELECT count(*) FROM checkpoint") == 1


@pytest.mark.parametrize("how", ["shorter", "another leaf", "a leaf less", "no leaf"])
async def test_nothing_is_signed_that_contradicts_what_was_signed(how, registry, signing, take, keys):
    await take(*[a_certificate(keys=keys) for _ in range(3)])
    await signing.sign_newest()
    if how == "shorter":
        frontier, _ = Frontier().extend([bytes(32)])
        await registry.pool.execute("UPDATE log_head SET size = 1, frontier = $1", list(frontier.hashes))
    else:
        await registry.pool.execute(
            {
                "another leaf": "UPDATE leaf SET commitment = decode(repeat('00', 32), 'hex') WHERE index = 2",
                "a leaf less": "DELETE FROM leaf WHERE index = 2",
                "no leaf": "DELETE FROM leaf",
            }[how]
        )
        await take(a_certificate(keys=keys))

    with pytest.raises(ContradictsItself):
        await signing.sign_newest()

    assert await registry.pool.fetchval("SELECT count(*) FROM checkpoint") == 1


async def test_who_was_told_to_stop_signs_nothing_more(registry, signing, certificate, monkeypatch):
    monkeypatch.setattr("services.registry.log.signing.STOPPED_SECONDS", 0.01)
    rounds = Rounds("log", stale_after_seconds=60)
    signing.stop("log_forked", "a witness saw another log")

    running = asyncio.create_task(signing.run(rounds))
    await eventually(lambda: rounds.begun > 2)
    running.cancel()

    assert await registry.pool.fetchval("SELECT count(*) FROM checkpoint") == 0


class Rounds(Progress):
    """How many times it came round."""

    begun = 0

    def beat(self):
        self.begun += 1


async def test_the_tiles_make_every_proof(registry, signing, take, keys, trust):
    await take(*[a_certificate(keys=keys) for _ in range(200)])
    await signing.sign_newest()
    await take(*[a_certificate(keys=keys) for _ in range(130)])
    await signing.sign_newest()
    await take(a_certificate(keys=keys))
    checkpoint = open_checkpoint((await registry.http.get("/log/checkpoint")).text, trust).checkpoint
    rows = await registry.pool.fetch(LEAVES)
    size = checkpoint.size
    assert size == 660

    bodies = {}
    for tile in tiles_of(size):
        answer = await registry.http.get(f"/log/{tile.path}")
        assert (answer.status_code, answer.headers["cache-control"]) == (200, "public, max-age=31536000, immutable")
        bodies[tile] = answer.content
        if tile.level == 0:
            bundle = await registry.http.get(f"/log/{Tile(None, tile.index, tile.width).path}")
            entries = parse_bundle(bundle.content, tile.width)
            assert entries == [row["commitment"] for row in rows[tile.first : tile.first + tile.width]]
    reader = TileReader(bodies.__getitem__, size)
    for index in (0, 255, 256, 511, 659):
        path = merkle.inclusion_proof(index, size, reader.node)
        merkle.verify_inclusion(leaf_hash(rows[index]["commitment"]), index, size, path, checkpoint.root)
    for old in (1, 256, 400, 659, 660):
        answer = await registry.http.get("/log/consistency", params={"from": old, "to": size})
        root = naive_root([leaf_hash(row["commitment"]) for row in rows[:old]])
        merkle.verify_consistency(old, root, size, checkpoint.root, [bytes.fromhex(one) for one in answer.json()])


@pytest.mark.parametrize(
    "path",
    ["tile/0/000.p/5", "tile/0/000", "tile/0/001", "tile/1/000.p/1", "tile/entries/000.p/5", "tile/0/0", "tile/64/000",
     "tile/x", "consistency?from=2&to=5", "consistency?from=3&to=2", "nothing"],
)  # fmt: skip
async def test_what_nobody_signed_is_not_there(path, registry, signing, take, keys):
    await take(*[a_certificate(keys=keys) for _ in range(2)])
    await signing.sign_newest()
    await take(a_certificate(keys=keys))

    answer = await registry.http.get(f"/log/{path}")

    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")


async def test_without_a_checkpoint_nothing_is_there(registry):
    for path in ("checkpoint", "tile/0/000.p/1", "consistency?from=0&to=0"):
        assert (await registry.http.get(f"/log/{path}")).status_code == 404


# --- proofs -------------------------------------------------------------------------------------------------------------


async def test_the_proof_that_a_purchaser_saves_verifies_without_us(signing, certificate, at_tochigi, trust, texts):
    here = f"{PLACE}/{certificate.contract_number}"
    await at_tochigi.look_up(certificate.contract_number)
    assert "数秒後に表示されます" in texts(await at_tochigi.get(here))
    assert (await at_tochigi.get(f"{here}/proof.json")).status_code == 409
    signed = await signing.sign_newest()

    page, saved = await at_tochigi.get(here), await at_tochigi.get(f"{here}/proof.json")

    assert "記録の証明（透明性ログ）" in texts(page)
    assert signed.checkpoint.root.hex()[:16] in texts(page)
    assert f'href="{here}/proof.json"' in page.text
    proven = verify_proof(json.loads(saved.content), trust)
    assert proven.document["type"] == "registration"
    assert proven.document["content_sha256"] == certificate.content_sha256
    assert urllib.parse.quote(certificate.contract_number) in saved.headers["content-disposition"]
    assert KEY not in saved.text


async def test_a_hole_in_the_log_hides_no_certificate(registry, signing, certificate, tochigi):
    await signing.sign_newest()
    await registry.pool.execute("DELETE FROM leaf WHERE index = 0")
    before = MUST_NEVER.labels("log_has_a_hole")._value.get()
    body = {"contract_number": certificate.contract_number, "authentication_key": KEY}

    answer = await registry.http.post("/api/certificates/lookup", json=body, headers=tochigi.headers)

    assert (answer.status_code, answer.json()["proof"]) == (200, None)
    assert MUST_NEVER.labels("log_has_a_hole")._value.get() == before + 1
    tiles = [await registry.http.get(f"/log/tile/{path}/000.p/2") for path in ("0", "entries")]
    assert [one.status_code for one in tiles] == [500, 500], "what is not whole is kept by no cache"


async def test_a_proof_is_not_to_be_had_without_the_key(registry, signing, certificate, at_tochigi):
    await signing.sign_newest()

    assert not await at_tochigi.has_open(certificate.contract_number, "/proof.json")


async def test_what_came_after_the_newest_checkpoint_has_no_proof_yet(registry, signing, certificate, at_tochigi):
    signed = await signing.sign_newest()
    await at_tochigi.look_up(certificate.contract_number)
    (viewed,) = await told(registry, CertificateViewed)
    assert viewed.leaf_index == signed.size

    async with transaction(registry.pool) as tx:
        assert await prove(tx, viewed.view_id, documents.of_viewed(viewed)) is None


async def test_an_earlier_version_has_a_proof_of_its_own(signing, certificate, issue, at_tochigi, trust):
    await issue(
        contract=certificate.contract_number,
        application_id=certificate.application_id,
        content={"version": 2, "change_number": 1, "kind": "change", "amount_yen": 21_000_000},
    )
    await at_tochigi.look_up(certificate.contract_number)
    await signing.sign_newest()

    first = await at_tochigi.get(f"{PLACE}/{certificate.contract_number}/versions/1/proof.json")

    assert verify_proof(first.json(), trust).document["certificate_id"] == str(certificate.certificate_id)


async def test_the_look_up_of_programs_answers_with_the_proof(registry, signing, certificate, tochigi, trust):
    async def look_up():
        body = {"contract_number": certificate.contract_number, "authentication_key": KEY}
        answer = await registry.http.post("/api/certificates/lookup", json=body, headers=tochigi.headers)
        return answer.json()["proof"]

    assert await look_up() is None
    await signing.sign_newest()

    assert verify_proof(await look_up(), trust).document["contract_number"] == certificate.contract_number


async def test_the_record_of_the_look_says_where_the_log_has_it(registry, signing, certificate, at_tochigi):
    await at_tochigi.look_up(certificate.contract_number)
    signed = await signing.sign_newest()

    answer = await at_tochigi.get(f"{PLACE}/{certificate.contract_number}/receipt.pdf")

    words = "".join(page.extract_text() for page in pypdf.PdfReader(io.BytesIO(answer.content)).pages)
    assert signed.checkpoint.root.hex() in words
    assert re.search(r"登録\s*1\s*照会\s*2\s*記録の総数\s*3", words)


def test_a_key_that_is_none_stops_the_start(keys, tmp_path):
    for secret in keys.of("registry").iterdir():
        if secret.is_file():
            (tmp_path / secret.name).write_text(secret.read_text())
    (tmp_path / "log_key").write_text("PRIVATE+KEY+x")

    with pytest.raises(Exception, match="not a signer key"):
        make_registry(RegistrySettings(secrets_dir=tmp_path))
