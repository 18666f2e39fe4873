"""What does a certificate say, word for word?

The PDF and the page are drawn from this and nothing else, so that both say the same to everybody (CERT-1).
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from documents.era import jst_minute, wareki_padded
from documents.money import yen_spaced
from schemas.certificates import CertificateContent

#: Above the certificate on a screen.
NOTICES: Final = (
    "・インターネット保証サービス利用規約に基づき、お客さまに代わり、発注者に対して保証証書を当社で提出しています。",
    "・ご覧いただいている本画面の情報は、発注者に提出した保証証書と同一です。",
)
#: On every print: the file to hand in is the key notice (SUB-9).
NOT_FOR_SUBMISSION: Final = "この書面は発注者への提出用ではありません"
WHAT_TO_SUBMIT: Final = (
    "発注者へ提出するのは「認証キー」のお知らせ（PDF）です。この書面を誤ってご提出しないようご注意ください。"
)


@dataclass(frozen=True)
class Row:
    """One row of the table: a label, and what it says on one or more lines."""

    label: str
    lines: tuple[str, ...]


@dataclass(frozen=True)
class CertificateView:
    """A certificate as words, from top to bottom."""

    contract_number: str
    notices: tuple[str, ...]
    not_for_submission: str
    what_to_submit: str
    dated: str
    title: str
    #: 変更ー with its number; None for a new one (CHG-1).
    change: str | None
    legend: str
    rows: tuple[Row, ...]
    clause: str
    guarantor_address: str
    guarantor_name: str
    #: Title and name.
    officer: str
    office_name: str
    #: TEL and FAX.
    office_numbers: tuple[str, ...]
    #: （注）, without their numbers.
    notes: tuple[str, ...]
    #: 電子保証発行日時: when it arrived where the purchaser looks (HIS-2).
    registered_at: str
    content_sha256: str
    specimen: bool


def certificate_view(content: CertificateContent, *, registered_at: datetime) -> CertificateView:
    """The certificate in words. Same content and moment, same words."""
    office = content.handling_office
    return CertificateView(
        contract_number=content.contract_number,
        notices=NOTICES,
        not_for_submission=NOT_FOR_SUBMISSION,
        what_to_submit=WHAT_TO_SUBMIT,
        dated=wareki_padded(content.dated),
        title=content.title,
        change=f"変更ー{content.change_number}" if content.change_number else None,
        legend=content.legend,
        rows=_rows(content),
        clause=content.clause,
        guarantor_address=content.guarantor.address,
        guarantor_name=content.guarantor.name,
        officer=f"{content.guarantor.officer_title}　{content.guarantor.officer_name}",
        office_name=office.name,
        office_numbers=(f"TEL：{office.telephone}", f"FAX：{office.fax}"),
        notes=content.notes,
        registered_at=jst_minute(registered_at),
        content_sha256=content.sha256(),
        specimen=content.specimen,
    )


def _rows(content: CertificateContent) -> tuple[Row, ...]:
    """In the order of CERT-2; JV名 and 預託金融機関 only where there is one (CERT-3)."""
    rows = [
        Row("保証契約番号", (content.contract_number,)),
        Row("保証契約者", (content.contractor_address, content.contractor_name)),
        Row("JV名", (content.jv_name,)) if content.jv_name else None,
        Row("被保証者", (content.beneficiary,)),
        Row("保証金額（総額）", (yen_spaced(content.amount_yen),)),
        Row("保証期限", (wareki_padded(content.guarantee_ends),)),
        Row("工事名", (content.works_name,)),
        Row("請負金額（総額）", (yen_spaced(content.price_yen),)),
        Row("工期", (f"{wareki_padded(content.term_from)} ～ {wareki_padded(content.term_to)}",)),
        Row("請負契約日", (wareki_padded(content.contract_date),)),
        Row("預託金融機関", (content.deposit_bank,)) if content.deposit_bank else None,
    ]
    return tuple(row for row in rows if row)
