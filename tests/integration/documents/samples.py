"""One of each document, with one field changed where a test wants so. Nothing in them says 見本 by itself."""

import io
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import Any, Final

import pypdf

from documents.authority import KeyAndCertificate, make_authority, make_signing_certificate
from documents.certificate import certificate_file_name, certificate_pdf
from documents.fee_statement import FeeLine, FeeStatement, fee_statement_file_name, fee_statement_pdf
from documents.key_notice import KeyNotice, key_notice_file_name, key_notice_pdf
from documents.receipt import ViewReceipt, view_receipt_file_name, view_receipt_pdf
from schemas.certificates import CertificateContent

#: 9:05 in the morning of 21 November in Japan.
AT: Final = datetime(2026, 11, 21, 0, 5, tzinfo=UTC)
NUMBER: Final = "10226-00001A"
KEY: Final = "Z28YUE4J3Bux"
#: Sixty characters of full width.
LONG: Final = "一般国道甲乙線丙丁地区道路改築工事に伴う東山大橋（仮称）下部工及び取付道路並びに附帯施設整備工事（その二十三）第四工区乙"

_FACTS: Final[dict[str, Any]] = {
    "contract_number": NUMBER,
    "product_name": "前払金保証",
    "beneficiary": "栃木県知事",
    "contractor_name": "株式会社髙﨑建設",
    "works_name": "県道東山線道路改良工事　第１号",
    "amount_yen": 20_000_000,
    "specimen": False,
}


def a_content(**changes: Any) -> CertificateContent:
    """前払金保証, new."""
    return CertificateContent.model_validate(
        {
            **_FACTS,
            "version": 1,
            "change_number": 0,
            "kind": "new",
            "dated": date(2026, 4, 1),
            "title": "保証証書（前払金保証）",
            "legend": "保証証書（書面）の発行は行わない 電子的な取扱となります",
            "product": "advance_payment",
            "contractor_address": "栃木県宇都宮市東山町３丁目３番３号",
            "contractor_representative": "代表取締役　𠮷田　髙志",
            "guarantee_ends": date(2027, 3, 19),
            "works_kind": "construction",
            "price_yen": 50_000_000,
            "term_from": date(2026, 4, 2),
            "term_to": date(2027, 3, 18),
            "contract_date": date(2026, 3, 31),
            "deposit_bank": "○○銀行　××支店",
            "clause": "当会社は、前払金保証約款に基づき上記のとおり保証契約を締結し、その責に任じます。",
            "guarantor": {
                "name": "東都建設業保証株式会社",
                "address": "東京都中央区東山町1丁目1番1号",
                "officer_title": "取締役社長",
                "officer_name": "東山　三郎",
            },
            "handling_office": {"name": "栃木支店", "telephone": "028-000-0001", "fax": "028-000-0101"},
            "notes": (
                "保証契約を変更する場合は、表題の下に変更ー の表示と変更の発生番号を付記し、変更後の契約内容を表示します。",
                (
                    "請負金額のみの変更の場合は、この保証契約の効力に影響を及ぼさないので、"
                    "保証契約変更の手続きをとる必要はありません。"
                ),
            ),
            **changes,
        }
    )


def a_key_notice(**changes: Any) -> KeyNotice:
    """Of the Net Desk family."""
    facts = {name: _FACTS[name] for name in ("contract_number", "product_name", "contractor_name", "works_name")}
    return KeyNotice(
        **{
            **facts,
            "family": "net-desk",
            "title": "",
            "surety_name": "東都建設業保証株式会社",
            "viewing_platform_name": "あかしView",
            "is_jv": False,
            "authentication_key": KEY,
            "purchaser_page_url": f"https://view.akashi.example/certificates/{NUMBER}",
            "specimen": False,
            "submission": ("電子メールに添付し、その他の必要書類と合わせて栃木県にご送信ください。",),
            **changes,
        }
    )


def a_fee_statement(**changes: Any) -> FeeStatement:
    return FeeStatement(
        **{
            **_FACTS,
            "surety_name": "東都建設業保証株式会社",
            "surety_address": "東京都中央区東山町1丁目1番1号",
            "lines": (
                FeeLine("500万円以下の部分", 5_000_000, "0.35", 17_500),
                FeeLine("500万円を超え2,000万円以下の部分", 15_000_000, "0.30", 45_000),
            ),
            "fee_yen": 62_500,
            "payment_method": "一括納付",
            "bill_to": "株式会社髙﨑建設",
            "decided_on": date(2026, 4, 1),
            **changes,
        }
    )


def a_receipt(**changes: Any) -> ViewReceipt:
    return ViewReceipt(
        **{
            **_FACTS,
            "content_sha256": a_content().sha256(),
            "registered_at": AT,
            "viewed_at": AT + timedelta(days=2, hours=3),
            "viewed_by_person": "契約課　𠮷田　﨑子",
            "purchaser_name": "栃木県",
            "surety_name": "東都建設業保証株式会社",
            "viewing_platform_name": "あかしView",
            **changes,
        }
    )


#: Every document: its PDF with some fields changed.
DOCUMENTS: Final[dict[str, Callable[..., bytes]]] = {
    "certificate": lambda **changes: certificate_pdf(a_content(**changes), registered_at=AT),
    "key_notice": lambda **changes: key_notice_pdf(a_key_notice(**changes), at=AT),
    "fee_statement": lambda **changes: fee_statement_pdf(a_fee_statement(**changes)),
    "receipt": lambda **changes: view_receipt_pdf(a_receipt(**changes)),
}

FILE_NAMES: Final[dict[str, str]] = {
    "certificate": certificate_file_name(a_content()),
    "key_notice": key_notice_file_name(a_key_notice()),
    "fee_statement": fee_statement_file_name(a_fee_statement()),
    "receipt": view_receipt_file_name(a_receipt()),
}


@cache
def an_authority() -> KeyAndCertificate:
    return make_authority(
        common_name="Test authority",
        organization="Akashi",
        valid_from=AT - timedelta(days=1),
        valid_until=AT + timedelta(days=3650),
    )


@cache
def a_signing_certificate() -> KeyAndCertificate:
    return make_signing_certificate(
        an_authority(),
        common_name="東都建設業保証株式会社",
        organization="東都建設業保証株式会社",
        valid_from=AT - timedelta(days=1),
        valid_until=AT + timedelta(days=1000),
    )


def read(pdf: bytes) -> pypdf.PdfReader:
    return pypdf.PdfReader(io.BytesIO(pdf))


def text_of(pdf: bytes) -> str:
    """The text of the only page, as readers find it, without the line breaks that its width made."""
    return "".join(line.strip() for line in read(pdf).pages[0].extract_text().splitlines())
