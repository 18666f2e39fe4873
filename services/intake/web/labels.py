"""What each field of 保証申込 is called, exactly as the form prints it, and on which tab it stands."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from chassis.web.wording import noted
from reference.codes import ADVANCE_PAYMENT, INTERIM_PAYMENT, PERFORMANCE, PRODUCTS

WORKS: Final = "works"
PRODUCTS_TAB: Final = "products"
OTHERS: Final = "others"
#: Net Desk's tabs, in order; e-Net names the last one after its own screen.
TABS: Final[Mapping[str, str]] = {
    WORKS: noted("請負工事の情報"),
    PRODUCTS_TAB: noted("保証の申込内容"),
    OTHERS: noted("その他"),
}
E_NET_TABS: Final[Mapping[str, str]] = {**TABS, OTHERS: noted("連絡事項等の入力")}


@dataclass(frozen=True)
class ProductWords:
    """One product's part of the form."""

    code: str
    name: str
    apply: str
    amount: str
    ratio: str
    method: str
    bill_to: str


PRODUCT_WORDS: Final = (
    ProductWords(
        ADVANCE_PAYMENT,
        noted("前払金保証"),
        noted("前払金保証を申し込む"),
        noted("前払金保証金額"),
        noted("(請負金額もしくは今年度対象額に対する前払金保証金額の割合)"),
        noted("前払金保証料支払方法"),
        noted("前払金保証料請求先"),
    ),
    ProductWords(
        INTERIM_PAYMENT,
        noted("中間前払金保証"),
        noted("中間前払金保証を申し込む"),
        noted("中間前払金保証金額"),
        noted("(請負金額に対する中間前払金保証金額の割合)"),
        noted("中間前払金保証料支払方法"),
        noted("中間前払金保証料請求先"),
    ),
    ProductWords(
        PERFORMANCE,
        noted("契約保証"),
        noted("契約保証を申し込む"),
        noted("契約保証金額"),
        noted("(請負金額に対する契約保証金額の割合)"),
        noted("契約保証料支払方法"),
        noted("契約保証料請求先"),
    ),
)

#: 手続状況, of `domain.STATUS_JA`: told here as texts that have English.
STATUSES: Final = (
    noted("受付済"),
    noted("審査中"),
    noted("取下げ依頼中"),
    noted("取下げ済"),
    noted("審査完了"),
    noted("差戻し"),
    noted("発行手続中"),
    noted("発行済"),
    noted("発行済(紙)"),
)

FORM: Final = noted("保証証書の形式について")
FISCAL_YEAR_AMOUNT: Final = noted("今年度対象額")
DEPOSIT_BANK: Final = noted("預託金融機関(全角)")
REDEPOSIT: Final = noted("再預託利用区分")
STATEMENT: Final = noted("保証料計算書(紙)について")

#: Path → label, of everything that is not a product's.
LABELS: Final[Mapping[str, str]] = {
    "works.name": noted("工事名"),
    "works.kind": noted("工事・業務委託の別"),
    "works.purchaser_id": noted("発注者名"),
    "works.price_yen": noted("請負金額"),
    "works.contract_date": noted("請負契約日"),
    "works.term_from": noted("工期（始期）"),
    "works.term_to": noted("工期（終期）"),
    "works.jv_name": noted("JV名"),
    "products": noted("商品"),
    "branch_id": noted("申込送信先"),
    "electronic_delivery": noted("保証証書の受取方法"),
    "completion_mail_wanted": noted("電子保証発行完了のお知らせ"),
    "mail_address": noted("メールアドレス"),
    "contact.department": noted("担当部署"),
    "contact.title": noted("役職"),
    "contact.person": noted("担当者名"),
    "contact.telephone": noted("連絡先電話番号"),
    "message": noted("お客様から弊社への連絡事項"),
    "returned_mail_wanted": noted("差戻しのお知らせ"),
    "viewed_mail_wanted": noted("発注者閲覧のお知らせ"),
    "replaces": noted("元の申込"),
}


def label_of(path: str) -> str:
    """The label of a field, without its product."""
    first, _, rest = path.partition(".")
    product, _, name = rest.partition(".")
    if first != "products" or not name:
        return LABELS.get(path, LABELS["products"])
    words = next(words for words in PRODUCT_WORDS if words.code == product)
    return {
        "form": FORM,
        "fiscal_year_amount_yen": FISCAL_YEAR_AMOUNT,
        "amount_yen": words.amount,
        "deposit_bank": DEPOSIT_BANK,
        "redeposit": REDEPOSIT,
        "fee_payment_method": words.method,
        "fee_bill_to": words.bill_to,
        "fee_statement_on_paper": STATEMENT,
    }[name]


def product_of(path: str) -> str:
    """The name of the product that a field belongs to; "" where it belongs to none."""
    parts = path.split(".")
    return PRODUCTS[parts[1]].full if parts[0] == "products" and len(parts) > 1 else ""


def tab_of(path: str, *, e_net: bool) -> str:
    if path.startswith("works."):
        return WORKS
    if path.startswith("products"):
        return PRODUCTS_TAB
    return OTHERS if e_net or path in ("returned_mail_wanted", "viewed_mail_wanted", "replaces") else PRODUCTS_TAB
