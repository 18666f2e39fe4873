"""What each code of a product, works kind, form or payment is called on paper and screens.

Codes travel as plain strings: a reader that meets a new one must not break. The labels are exact, brackets and widths
included; a screen that needs another wording needs another label here.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple


class ProductLabels(NamedTuple):
    """The names of one guarantee product (商品)."""

    #: 商品名, 保証区分: certificate, key notice, overview.
    full: str
    #: 保証種類 in the list of guarantees.
    listed: str
    english: str


class Labels(NamedTuple):
    """The names of one code that reads alike everywhere."""

    japanese: str
    english: str


ADVANCE_PAYMENT: Final = "advance_payment"
INTERIM_PAYMENT: Final = "interim_payment"
PERFORMANCE: Final = "performance"

#: In the order in which a form shows them.
PRODUCTS: Final[Mapping[str, ProductLabels]] = MappingProxyType(
    {
        ADVANCE_PAYMENT: ProductLabels("前払金保証", "前払", "advance-payment guarantee"),
        INTERIM_PAYMENT: ProductLabels("中間前払金保証", "中間", "interim advance-payment guarantee"),
        PERFORMANCE: ProductLabels("契約保証", "契約", "performance guarantee"),
    }
)

CONSTRUCTION: Final = "construction"
CONSIGNMENT: Final = "consignment"

WORKS_KINDS: Final[Mapping[str, Labels]] = MappingProxyType(
    {
        CONSTRUCTION: Labels("工事", "construction works"),
        CONSIGNMENT: Labels("業務委託", "consigned services"),
    }
)

ELECTRONIC: Final = "electronic"
PAPER: Final = "paper"

#: 保証証書の形式, chosen product by product (Net Desk).
FORMS: Final[Mapping[str, Labels]] = MappingProxyType(
    {
        ELECTRONIC: Labels("電子保証(認証キーを含む)", "electronic, with an authentication key"),
        PAPER: Labels("証書(紙)", "certificate on paper"),
    }
)

#: 保証証書の受取方法, chosen once for the whole application (e-Net). The wording for paper is ours.
RECEIPTS: Final[Mapping[str, Labels]] = MappingProxyType(
    {
        ELECTRONIC: Labels("電子交付を希望する", "electronic delivery"),
        PAPER: Labels("書面での交付を希望する", "delivery on paper"),
    }
)

NET_DESK: Final = "net-desk"
E_NET: Final = "e-net"

#: 文言の系統: which wording a surety's portal, letters and mails follow.
FAMILIES: Final[frozenset[str]] = frozenset({NET_DESK, E_NET})

OPT_IN: Final = "opt_in"
ALWAYS: Final = "always"

#: Whether the completion mail waits for the contractor's wish.
COMPLETION_MAIL_RULES: Final[frozenset[str]] = frozenset({OPT_IN, ALWAYS})

END_OF_WORKS_TERM: Final = "end_of_works_term"

#: From what 保証期限 is filled in when the desk sets nothing else.
GUARANTEE_ENDS_RULES: Final[frozenset[str]] = frozenset({END_OF_WORKS_TERM})

CONTRACT_DATE: Final = "contract_date"

#: Which date of an application a purchaser's start date is compared with.
DATE_BASES: Final[frozenset[str]] = frozenset({CONTRACT_DATE})

SINGLE: Final = "single"
FOUR_EYES: Final = "four_eyes"

#: Whether one person at the desk decides, or one proposes and another approves (DESK-1).
DESK_APPROVALS: Final[frozenset[str]] = frozenset({SINGLE, FOUR_EYES})

E_CONTRACT_SYSTEM: Final = "e_contract_system"
MAIL: Final = "mail"

#: The ways to hand the key notice in (SUB-6), worded as the notice words them.
SUBMISSION_CHANNELS: Final[Mapping[str, Labels]] = MappingProxyType(
    {
        E_CONTRACT_SYSTEM: Labels("電子契約システムへのアップロード", "upload to the electronic contract system"),
        MAIL: Labels("電子メールに添付して送信", "attached to a mail"),
    }
)
