"""The form of 保証申込 as a browser sends it."""

import itertools
import re

_serials = itertools.count(1)


def a_typed_form(**changes):
    """前払金保証 for works of 栃木県 at Net Desk, as people type it. The works differ from every other's."""
    fields = {
        "works.name": f"町道見本線舗装工事　第{next(_serials)}号",
        "works.kind": "construction",
        "works.purchaser_id": "tochigi",
        "works.price_yen": "５０，０００，０００円",
        "works.contract_date": "2026-10-01",
        "works.term_from": "2026-10-02",
        "works.term_to": "2027-03-19",
        "products.advance_payment": "yes",
        "products.advance_payment.form": "electronic",
        "products.advance_payment.amount_yen": "20,000,000",
        "products.advance_payment.deposit_bank": "○○銀行　××支店",
        "products.advance_payment.redeposit": "no",
        "products.advance_payment.fee_payment_method": "lump_sum",
        "products.advance_payment.fee_bill_to": "株式会社髙﨑建設",
        "products.advance_payment.fee_statement_on_paper": "no",
        "branch_id": "tochigi",
        "completion_mail_wanted": "yes",
        "mail_address": "himitsu@takasaki-kensetsu.example",
        "contact.person": "𠮷田　﨑子",
        "message": "よろしくお願いします。",
        "returned_mail_wanted": "yes",
        "viewed_mail_wanted": "no",
    }
    return {**fields, **changes}


def an_e_net_typed_form(**changes):
    """The same for works of 読谷村, at the surety of the e-Net family."""
    fields = {
        **a_typed_form(**{"works.purchaser_id": "yomitan", "branch_id": "okinawa", "electronic_delivery": "yes"}),
        **changes,
    }
    return {
        name: text
        for name, text in fields.items()
        if name not in ("products.advance_payment.form", "completion_mail_wanted")
    }


def found(pattern, text):
    """What stands in a page at the place in brackets."""
    match = re.search(pattern, text)
    assert match is not None, text
    return match.group(1)
