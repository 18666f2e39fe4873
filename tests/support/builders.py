"""Valid things, with one field changed where a test wants so.

A name with `__` in it goes down: `works__name="…"`, `products__performance__amount_yen=1`. `LEFT_OUT` takes the field
away. Amounts keep within the limits of the demo's sureties, so that the rules accept what nobody changed.
"""

import itertools
import uuid
from datetime import date, datetime
from typing import Any, Final
from uuid import UUID

from aiokafka import ConsumerRecord
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from chassis import sealing
from chassis.decoding import Received
from schemas import authentication_key, contract_number, topics
from schemas.applications import ApplicationSubmitted
from schemas.certificates import CertificateContent, CertificateIssued
from schemas.data_keys import DataKeyWrapped
from schemas.envelope import Cause, message_of
from schemas.event import Event
from schemas.registrations import CertificateRegistered
from schemas.sealed import SealedKey
from tests.support.clock import NOON
from tests.support.keys import Keyring

LEFT_OUT: Final = object()
#: The contractor that applies unless a test says otherwise.
CONTRACTOR: Final = {
    "id": "takasaki",
    "name": "株式会社髙﨑建設",
    "address": "栃木県見本市見本町３丁目３番３号",
    "representative": "代表取締役　𠮷田　髙志",
}
CAUSE: Final = Cause("test-correlation", None, f"00-{1:032x}-{2:016x}-01")

_serials = itertools.count(1)
_offsets = itertools.count()
_FIXED_KEY: Final = X25519PrivateKey.from_private_bytes(bytes(range(32)))


def _changed(document: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    for path, value in changes.items():
        place, names = document, path.split("__")
        for name in names[:-1]:
            place = place.setdefault(name, {})
        if value is LEFT_OUT:
            place.pop(names[-1], None)
        else:
            place[names[-1]] = value
    return document


def an_advance_payment(**changes: Any) -> dict[str, Any]:
    """前払金保証 on the form."""
    return _changed(
        {
            "form": "electronic",
            "amount_yen": 20_000_000,
            "deposit_bank": "○○銀行　××支店",
            "redeposit": False,
            "fee_payment_method": "lump_sum",
            "fee_bill_to": "株式会社髙﨑建設",
            "fee_statement_on_paper": False,
        },
        changes,
    )


def a_performance(**changes: Any) -> dict[str, Any]:
    """契約保証 on the form; 中間前払金保証 has the same fields."""
    return _changed(
        {
            "form": "electronic",
            "amount_yen": 5_000_000,
            "fee_payment_method": "lump_sum",
            "fee_bill_to": "株式会社髙﨑建設",
            "fee_statement_on_paper": False,
        },
        changes,
    )


def an_application_form(**changes: Any) -> dict[str, Any]:
    """The form for works of 栃木県, as JSON: one 前払金保証, electronic. The works differ from every other's."""
    return _changed(
        {
            "surety_id": "toto",
            "branch_id": "tochigi",
            "works": {
                "name": f"県道見本線道路改良工事　第{next(_serials)}号",
                "kind": "construction",
                "purchaser_id": "tochigi",
                "price_yen": 50_000_000,
                "contract_date": "2026-10-01",
                "term_from": "2026-10-02",
                "term_to": "2027-03-19",
            },
            "products": {"advance_payment": an_advance_payment()},
            "completion_mail_wanted": True,
            "mail_address": "keiri@takasaki-kensetsu.example",
            "contact": {"department": "経理部", "person": "𠮷田　﨑子", "telephone": "028-000-0002"},
            "message": "よろしくお願いします。",
        },
        changes,
    )


def an_e_net_form(**changes: Any) -> dict[str, Any]:
    """The form for works of 読谷村, at the surety of the e-Net family."""
    form = an_application_form(
        surety_id="nankai",
        branch_id="okinawa",
        works__purchaser_id="yomitan",
        products__advance_payment__form=LEFT_OUT,
        electronic_delivery=True,
        completion_mail_wanted=LEFT_OUT,
    )
    return _changed(form, changes)


def a_product(**changes: Any) -> dict[str, Any]:
    """One product in an event."""
    return an_advance_payment(**{"product": "advance_payment", "ratio_percent": "40.0", **changes})


def a_performance_product(**changes: Any) -> dict[str, Any]:
    return a_performance(**{"product": "performance", "ratio_percent": "10.0", **changes})


def an_application(application_id: UUID | None = None, **changes: Any) -> ApplicationSubmitted:
    """The same as an event, as intake publishes it."""
    identity = application_id or uuid.uuid4()
    data_key = sealing.DataKey(uuid.uuid4(), bytes(32))
    nonce, ciphertext = data_key.seal(b'{"mail_address": "keiri@takasaki-kensetsu.example"}', about=identity)
    document = {
        "application_id": identity,
        "submitted_at": NOON,
        "submitted_by": uuid.uuid4(),
        "surety_id": "toto",
        "branch_id": "tochigi",
        "reference_version": "2026.1+000000000000",
        "contractor": dict(CONTRACTOR),
        "works": {
            "name": f"県道見本線道路改良工事　第{next(_serials)}号",
            "kind": "construction",
            "purchaser_id": "tochigi",
            "price_yen": 50_000_000,
            "contract_date": date(2026, 10, 1),
            "term_from": date(2026, 10, 2),
            "term_to": date(2027, 3, 19),
        },
        "products": (a_product(),),
        "completion_mail_wanted": True,
        "contact": {"data_key_id": data_key.id, "nonce": sealing.b64(nonce), "ciphertext": sealing.b64(ciphertext)},
    }
    return ApplicationSubmitted.model_validate(_changed(document, changes))


def a_wrapped_data_key(application_id: UUID, *, readers: dict[str, bytes] | None = None) -> DataKeyWrapped:
    wrapped = readers if readers is not None else {"issuer": b"wrapped for the issuer"}
    return DataKeyWrapped.model_validate(
        {
            "application_id": application_id,
            "data_key_id": uuid.uuid4(),
            "created_at": NOON,
            "wrapped_for": tuple(
                {"reader": reader, "wrapped": sealing.b64(secret)} for reader, secret in wrapped.items()
            ),
        }
    )


def a_contract_number(serial: int | None = None) -> str:
    return contract_number.compose("10226", serial or next(_serials))


def a_certificate(
    *,
    keys: Keyring | None = None,
    key: str = "Z28YUE4J3Bux",
    contract: str | None = None,
    content: dict[str, Any] | None = None,
    **changes: Any,
) -> CertificateIssued:
    """前払金保証 for works of 栃木県, issued; number and key fit together. Without `keys` nobody can open the key."""
    number = contract or a_contract_number()
    certificate_id = changes.pop("certificate_id", None) or uuid.uuid4()
    says = CertificateContent.model_validate(
        {
            "contract_number": number,
            "version": 1,
            "change_number": 0,
            "kind": "new",
            "dated": date(2026, 11, 20),
            "title": "保証証書（前払金保証）",
            "legend": "保証証書（書面）の発行は行わない 電子的な取扱となります",
            "product": "advance_payment",
            "product_name": "前払金保証",
            "contractor_name": CONTRACTOR["name"],
            "contractor_address": CONTRACTOR["address"],
            "contractor_representative": CONTRACTOR["representative"],
            "beneficiary": "栃木県知事",
            "amount_yen": 20_000_000,
            "guarantee_ends": date(2027, 3, 19),
            "works_name": "県道見本線道路改良工事",
            "works_kind": "construction",
            "price_yen": 50_000_000,
            "term_from": date(2026, 10, 2),
            "term_to": date(2027, 3, 19),
            "contract_date": date(2026, 10, 1),
            "deposit_bank": "○○銀行　××支店",
            "clause": "当会社は、前払金保証約款に基づき上記のとおり保証契約を締結し、その責に任じます。",
            "guarantor": {
                "name": "東都建設業保証株式会社",
                "address": "東京都見本区見本町1丁目1番1号",
                "officer_title": "取締役社長",
                "officer_name": "見本 三郎",
            },
            "handling_office": {"name": "栃木支店", "telephone": "028-000-0001", "fax": "028-000-0101"},
            "notes": (),
            "specimen": True,
            **(content or {}),
        }
    )
    pepper = keys.pepper if keys else b"pepper"
    public_key = keys.public_key("intake") if keys else _FIXED_KEY.public_key().public_bytes_raw()
    info = authentication_key.sealing_info(number, certificate_id)
    document = {
        "certificate_id": certificate_id,
        "contract_number": number,
        "version": says.version,
        "change_number": says.change_number,
        "application_id": uuid.uuid4(),
        "product": says.product,
        "surety_id": "toto",
        "purchaser_id": "tochigi",
        "contractor_id": CONTRACTOR["id"],
        "issued_at": NOON,
        "reference_version": "2026.1+000000000000",
        "content": says,
        "content_sha256": says.sha256(),
        "authentication_key": SealedKey(
            digest=authentication_key.digest(pepper, number, key),
            pepper_id=authentication_key.secret_id(pepper),
            sealed=sealing.b64(sealing.Recipient(public_key).seal(key.encode(), info=info)),
            sealed_to=authentication_key.secret_id(public_key),
        ),
    }
    return CertificateIssued.model_validate({**document, **changes})


def a_registration(
    issued: CertificateIssued, *, registered_at: datetime = NOON, **changes: Any
) -> CertificateRegistered:
    """What the registry tells of a certificate."""
    shared = ("certificate_id", "contract_number", "version", "change_number", "application_id", "product")
    also = ("surety_id", "purchaser_id", "content_sha256")
    document = {name: getattr(issued, name) for name in (*shared, *also)}
    return CertificateRegistered.model_validate({**document, "registered_at": registered_at, **changes})


def a_record(event: Event, *, cause: Cause = CAUSE, **changes: Any) -> ConsumerRecord:
    """An event as a consumer gets it."""
    topic = topics.of_event(type(event))
    message = message_of(event, source=topic.writer, topic=topic.name, cause=cause)
    return a_raw_record(
        **{
            "topic": message.topic,
            "key": message.key,
            "value": message.value,
            "headers": message.headers,
            **changes,
        }
    )


def a_raw_record(**changes: Any) -> ConsumerRecord:
    """Bytes as a consumer gets them."""
    fields = {
        "topic": topics.APPLICATIONS.name,
        "partition": 0,
        "offset": next(_offsets),
        "timestamp": 0,
        "timestamp_type": 0,
        "key": b"",
        "value": b"",
        "checksum": None,
        "serialized_key_size": 0,
        "serialized_value_size": 0,
        "headers": (),
    }
    return ConsumerRecord(**{**fields, **changes})


def a_tombstone(application_id: UUID) -> ConsumerRecord:
    """The order to forget an application's data key."""
    return a_raw_record(topic=topics.DATA_KEYS.name, key=str(application_id).encode(), value=None)


def received(event: Event, *, cause: Cause = CAUSE) -> Received[Any]:
    """An event as a handler gets it."""
    return Received(event, cause, a_record(event, cause=cause))
