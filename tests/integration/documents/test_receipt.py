from documents.receipt import LogEntry, view_receipt_pdf
from tests.integration.documents.samples import AT, NUMBER, a_content, a_receipt, text_of


def test_it_says_who_looked_at_which_content_and_when():
    words = text_of(view_receipt_pdf(a_receipt()))

    assert "令和8年11月23日" in words
    assert "照会日時 2026/11/23 12:05" in words
    assert "照会した発注者 栃木県" in words
    assert "照会した者 契約課　𠮷田　﨑子" in words
    assert f"保証契約番号 {NUMBER}" in words
    assert "電子保証発行日時 2026/11/21 09:05" in words
    assert a_content().sha256() in words


def test_it_says_where_the_log_has_certificate_and_look():
    entry = LogEntry(
        origin="log.akashi.example/registry",
        registration_index=1201,
        view_index=1_234_567,
        size=1_234_570,
        root_sha256="6ee8d0a2" * 8,
        signed_at=AT,
    )
    words = text_of(view_receipt_pdf(a_receipt(log_entry=entry)))

    assert "登録 1201" in words
    assert "照会 1234567" in words
    assert "記録の総数 1234570" in words
    assert entry.root_sha256 in words
    assert "log.akashi.example/registry　署名日時 2026/11/21 09:05:" in words


def test_until_the_log_is_signed_it_says_nothing_of_it():
    assert "透明性ログ" not in text_of(view_receipt_pdf(a_receipt()))
