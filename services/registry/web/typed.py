"""What is wrong with a number and a key, before anybody looks for them? A typing error costs no attempt.

What was typed is not repeated: of a key, one character at most, and only one that is in no key.
"""

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from chassis.web.wording import noted
from schemas import authentication_key, contract_number

NUMBER: Final = "number"
KEY: Final = "key"
#: Left out of keys because they are misread, each as one would say it.
MISREAD: Final = {
    "0": noted("数字の「0」（ゼロ）"),
    "1": noted("数字の「1」（いち）"),
    "O": noted("英大文字の「O」（オー）"),
    "I": noted("英大文字の「I」（アイ）"),
    "l": noted("英小文字の「l」（エル）"),
}
#: Also for the script that says the same before the form is sent.
TEXTS: Final = {
    "number_missing": noted("保証契約番号を入力してください。"),
    "number_format": noted(
        "保証契約番号は、数字5桁、ハイフン、数字5桁と末尾の英数字1文字です（例：12345-67890A）。"
        "入力内容をご確認ください。"
    ),
    "number_wrong": noted("保証契約番号の入力に誤りがあります。お知らせの番号と1文字ずつ見比べてください。"),
    "key_missing": noted("認証キーを入力してください。"),
    "key_is_number": noted("認証キーの欄に保証契約番号が入力されています。認証キーを入力してください。"),
    "key_character": noted(
        "%(character)sは、認証キーに使われない文字です。お知らせの認証キーと1文字ずつ見比べてください。"
    ),
    "key_unseen": noted("認証キーに使われない文字が含まれています。もう一度入力してください。"),
    "key_length": noted(
        "認証キーは12文字です。入力されたのは%(count)s文字です。英字の大文字と小文字を区別して入力してください。"
    ),
}


@dataclass(frozen=True)
class Fault:
    """Why a field cannot stay as it is."""

    name: str
    #: Into TEXTS.
    text: str
    #: To be translated before they are put in.
    values: dict[str, str] = field(default_factory=dict)


def faults_of(number_typed: str, key_typed: str) -> list[Fault]:
    """At most one for each field, in the order of the fields."""
    return [*_of_number(contract_number.normalise(number_typed)), *_of_key(authentication_key.normalise(key_typed))]


def _of_number(number: str) -> Iterator[Fault]:
    if not number:
        yield Fault(NUMBER, "number_missing")
    elif not contract_number.FORMAT.fullmatch(number):
        yield Fault(NUMBER, "number_format")
    elif not contract_number.is_well_formed(number):
        yield Fault(NUMBER, "number_wrong")


def _of_key(key: str) -> Iterator[Fault]:
    stranger = next((character for character in key if character not in authentication_key.ALPHABET), None)
    if not key:
        yield Fault(KEY, "key_missing")
    elif contract_number.FORMAT.fullmatch(contract_number.normalise(key)):
        yield Fault(KEY, "key_is_number")
    elif stranger is not None and unicodedata.category(stranger)[0] not in "LNPS":
        yield Fault(KEY, "key_unseen")
    elif stranger is not None:
        yield Fault(KEY, "key_character", {"character": MISREAD.get(stranger, f"「{stranger}」")})
    elif len(key) != authentication_key.LENGTH:
        yield Fault(KEY, "key_length", {"count": str(len(key))})
