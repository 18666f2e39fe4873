"""電子証書照会記録: who looked a certificate up, and when. For the purchaser's own file; never with the key."""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Final

from documents.era import JST, jst_minute, wareki
from documents.money import yen_spaced
from documents.rendering import draw

TITLE: Final = "電子証書照会記録"


@dataclass(frozen=True)
class LogEntry:
    """Where the transparency log has certificate and look, and what was signed over it."""

    origin: str
    registration_index: int
    view_index: int
    size: int
    root_sha256: str
    signed_at: datetime


@dataclass(frozen=True)
class ViewReceipt:
    """One successful look at one certificate."""

    contract_number: str
    product_name: str
    beneficiary: str
    contractor_name: str
    works_name: str
    amount_yen: int
    #: Of what was shown, so that it can be compared for ever.
    content_sha256: str
    #: 電子保証発行日時
    registered_at: datetime
    viewed_at: datetime
    viewed_by_person: str
    purchaser_name: str
    surety_name: str
    viewing_platform_name: str
    specimen: bool
    #: None for the seconds until the log is signed.
    log_entry: LogEntry | None = None


def view_receipt_pdf(receipt: ViewReceipt) -> bytes:
    """The record on one A4 page. Same receipt, same bytes. Raises `CharacterNotPrintable` and `DoesNotFitOnePage`."""
    viewed_at = jst_minute(receipt.viewed_at)
    entry = receipt.log_entry
    values = {
        **asdict(receipt),
        "log_entry": None
        if entry is None
        else {
            "places": f"登録 {entry.registration_index}　照会 {entry.view_index}　記録の総数 {entry.size}",
            "root": entry.root_sha256,
            "signed": f"{entry.origin}　署名日時 {_jst_second(entry.signed_at)}",
        },
        "heading": TITLE,
        "statement": f"下記の電子証書について、発注者様が{receipt.viewing_platform_name}において保証契約番号と認証キー"
        "により照会し、その内容を表示したことを記録します。",
        "dated": wareki(receipt.viewed_at.astimezone(JST).date()),
        "registered_at": jst_minute(receipt.registered_at),
        "viewed_at": viewed_at,
        "viewing": (
            {"label": "照会日時", "lines": (viewed_at,)},
            {"label": "照会した発注者", "lines": (receipt.purchaser_name,)},
            {"label": "照会した者", "lines": (receipt.viewed_by_person,)},
            {"label": "照会の結果", "lines": ("保証契約番号及び認証キーが一致し、電子証書を表示しました。",)},
        ),
        "certificate": (
            {"label": "保証契約番号", "lines": (receipt.contract_number,)},
            {"label": "商品（保証区分）", "lines": (receipt.product_name,)},
            {"label": "被保証者", "lines": (receipt.beneficiary,)},
            {"label": "保証契約者", "lines": (receipt.contractor_name,)},
            {"label": "工事名", "lines": (receipt.works_name,)},
            {"label": "保証金額（総額）", "lines": (yen_spaced(receipt.amount_yen),)},
            {"label": "保証会社", "lines": (receipt.surety_name,)},
            {"label": "電子保証発行日時", "lines": (jst_minute(receipt.registered_at),)},
        ),
    }
    return draw(
        "receipt",
        values,
        title=f"{TITLE} {receipt.contract_number}",
        author=receipt.viewing_platform_name,
        specimen=receipt.specimen,
        at=receipt.viewed_at,
    )


def _jst_second(at: datetime) -> str:
    return at.astimezone(JST).strftime("%Y/%m/%d %H:%M:%S")


def view_receipt_file_name(receipt: ViewReceipt) -> str:
    """電子証書照会記録_31073-00001X_20261121-0905.pdf: one certificate is looked up more than once."""
    looked = jst_minute(receipt.viewed_at).translate({ord("/"): None, ord(":"): None, ord(" "): "-"})
    return f"{TITLE}_{receipt.contract_number}_{looked}.pdf"
