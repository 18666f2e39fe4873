"""certificates.v1, published by the issuer: certificates (電子証書) as they will read for ever."""

import hashlib
import json
from datetime import date
from typing import Any, Self
from uuid import UUID

from pydantic import ConfigDict, model_validator
from pydantic_core import to_json

from schemas.event import (
    AwareDatetime,
    ChangeNumber,
    Code,
    ContractNumber,
    Document,
    Event,
    Line,
    Sha256,
    Text,
    Version,
    Yen,
)
from schemas.sealed import SealedKey


class Kept(Document):
    """A part of a certificate. Fields that a newer issuer added are kept: the hash is over all of them."""

    model_config = ConfigDict(extra="allow")

    @model_validator(mode="after")
    def _is_json(self) -> Self:
        if self.model_extra:
            json.dumps(self.model_extra, allow_nan=False)
        return self


class Guarantor(Kept):
    """保証会社 with the officer in office on the day of the certificate (CERT-5)."""

    name: Line
    address: Line
    officer_title: Line
    officer_name: Line


class HandlingOffice(Kept):
    """取扱箇所."""

    name: Line
    telephone: Line
    fax: Line


class CertificateContent(Kept):
    """保証証書 as data: all that the purchaser and the contractor see, resolved on the day it was issued."""

    contract_number: ContractNumber
    #: 1 for a new one; every change adds one.
    version: Version
    #: 変更の発生番号: 0 for a new one (CHG-1).
    change_number: ChangeNumber
    #: 対象: `new` 新規
    kind: Code
    dated: date
    title: Line
    legend: Text
    product: Code
    product_name: Line
    #: 保証契約者
    contractor_name: Line
    contractor_address: Line
    contractor_representative: Line
    jv_name: Line | None = None
    #: 被保証者: an office, not the body's name
    beneficiary: Line
    #: 保証金額（総額）
    amount_yen: Yen
    #: 保証期限
    guarantee_ends: date
    works_name: Line
    works_kind: Code
    #: 請負金額（総額）
    price_yen: Yen
    term_from: date
    term_to: date
    contract_date: date
    #: 預託金融機関, advance payment only
    deposit_bank: Line | None = None
    clause: Text
    guarantor: Guarantor
    handling_office: HandlingOffice
    notes: tuple[Text, ...]
    #: 見本: printed across every document of a demo surety.
    specimen: bool

    def canonical(self) -> bytes:
        """The same bytes everywhere: JSON with sorted keys, no spaces, UTF-8 (RFC 8785 for strings and integers).

        What is not there is left out, so that a field added later changes no earlier certificate's hash.
        """
        return to_json(_sorted(self.model_dump(mode="json", exclude_none=True)))

    def sha256(self) -> str:
        return hashlib.sha256(self.canonical()).hexdigest()


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        # Mostly texts: spares a call for each.
        return {name: one if type(one := value[name]) is str else _sorted(one) for name in sorted(value)}
    if isinstance(value, list):
        return [_sorted(one) for one in value]
    return value


class CertificateIssued(Event):
    """The surety issued a certificate. The key is inside twice, and readable in neither form on this topic."""

    key_field = "contract_number"
    identity_fields = ("certificate_id",)
    time_field = "issued_at"

    certificate_id: UUID
    contract_number: ContractNumber
    version: Version
    change_number: ChangeNumber
    application_id: UUID
    product: Code
    surety_id: Code
    purchaser_id: Code
    contractor_id: Code
    issued_at: AwareDatetime
    reference_version: Code
    content: CertificateContent
    content_sha256: Sha256
    authentication_key: SealedKey
