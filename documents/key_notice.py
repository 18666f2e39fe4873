"""「認証キー」のお知らせ: the one file that the contractor hands to the purchaser (SUB-9, SUB-10).

It holds number and key, so it is drawn only when its reader may see the key, and kept nowhere (KEY-7).
"""

import io
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Final

import segno

from documents.rendering import draw

_INTERIM: Final = "中間前払金保証"
#: Title and file name of each wording family.
_TITLES: Final = {
    "net-desk": "電子保証にかかる「認証キー」のお知らせ",
    "e-net": "認証キー等のお知らせ",
}
_FILE_NAMES: Final = {"net-desk": "認証キーのお知らせ", "e-net": "認証キー等のお知らせ"}


@dataclass(frozen=True)
class KeyNotice:
    """What the notice tells: five facts, the way to the purchaser's page, and how this purchaser takes it."""

    #: `net-desk` or `e-net`
    family: str
    #: As the surety's profile has it; "" for the family's own.
    title: str
    surety_name: str
    viewing_platform_name: str
    works_name: str
    #: Of a joint venture: its representative (WHO-6).
    contractor_name: str
    is_jv: bool
    product_name: str
    contract_number: str
    authentication_key: str = field(repr=False)
    #: Where the purchaser types the key. May hold the number, never the key.
    purchaser_page_url: str
    specimen: bool
    #: How this purchaser wants it, line by line (SUB-1 to SUB-6); empty where nothing is known.
    submission: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.family not in _TITLES:
            raise ValueError(f"no wording for the family {self.family}")
        # Cases are folded: a link that a server lower-cases must not hold it either.
        if self.authentication_key.casefold() in self.purchaser_page_url.casefold():
            raise ValueError("the authentication key must not be in a link")


def key_notice_pdf(notice: KeyNotice, *, at: datetime) -> bytes:
    """The notice on one A4 page. Same notice and moment, same bytes.

    Raises `CharacterNotPrintable` and `DoesNotFitOnePage`.
    """
    title = notice.title or _TITLES[notice.family]
    values = {
        **asdict(notice),
        "title": title,
        "paragraphs": _paragraphs(notice),
        "ways": ("①電子契約システムへのアップロード", "②電子メールに添付して送信")
        if notice.family == "net-desk"
        else (),
        "facts": (
            ("工事名", notice.works_name),
            ("受注者名", f"{notice.contractor_name}{'　（JVの場合は代表者）' if notice.is_jv else ''}"),
            ("商品（保証区分）", notice.product_name),
            ("保証契約番号", notice.contract_number),
        ),
        "request": f"「保証確認サービス（{notice.viewing_platform_name}）」にログインし、上記の「保証契約番号」と"
        "「認証キー」をもって電子証書を閲覧ください。",
        "page_code": _qr(notice.purchaser_page_url),
    }
    return draw(
        "key_notice",
        values,
        title=f"{title} {notice.contract_number}",
        author=notice.surety_name,
        specimen=notice.specimen,
        at=at,
    )


def key_notice_file_name(notice: KeyNotice) -> str:
    """認証キーのお知らせ_31073-00001X.pdf, in the family's words."""
    return f"{_FILE_NAMES[notice.family]}_{notice.contract_number}.pdf"


def _paragraphs(notice: KeyNotice) -> dict[str, tuple[str, ...]]:
    """The prose before and after the ways to hand it in, as the family has it."""
    platform = notice.viewing_platform_name
    questions = "ご不明な点がございましたら、当社の営業部・支店までお問い合わせください。"
    if notice.family == "net-desk":
        return {
            "before": (
                f"電子証書を「保証確認サービス（{platform}）」に掲載しましたので、お知らせします。",
                (
                    "つきましては、お客様にて下記内容をご確認いただき、次のいずれかの方法でこのPDFファイルを発注者様に"
                    "ご提出ください。"
                ),
            ),
            "important": (),
            "after": (
                (
                    "電子保証のご利用にあたっては、発注者様への「保証契約番号」と「認証キー」のご提出をもって、"
                    f"{_claim(notice)}、又は請負契約締結手続（契約保証）が完了いたします。"
                ),
                questions,
            ),
        }
    return {
        "before": (
            f"電子証書を「保証確認サービス（{platform}）」に登録しましたので、お知らせします。",
            (
                "つきましては、お客様にて下記内容をご確認いただき、このPDFファイルを発注者様にご提出ください。"
                "発注者様が電子証書を閲覧するためには、お客様から発注者様へのこのPDFファイルのご提出が必要です。"
                "ご提出方法は、あらかじめ発注者様にご確認ください。"
            ),
        ),
        "important": (
            "【重要】当該PDFファイルを「発注者」へご提出ください",
            "※電子証書の確認画面から印刷・保存したファイルを誤ってご提出しないようご注意ください。",
        ),
        "after": (questions,),
    }


def _claim(notice: KeyNotice) -> str:
    """The procedure that number and key complete, beside the contract's (SUB-7, NOT-4)."""
    if notice.product_name == _INTERIM:
        return "中間前払金請求手続（中間前払金保証）"
    return "前払金請求手続（前払金保証）"


def _qr(url: str) -> str:
    """The link as SVG. Medium correction: a fold or a stain on paper does not spoil it."""
    drawing = io.BytesIO()
    segno.make(url, error="m", micro=False).save(drawing, kind="svg", border=2, light="white", xmldecl=False, nl=False)
    return drawing.getvalue().decode()
