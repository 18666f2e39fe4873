from documents.receipt import view_receipt_pdf
from tests.unit.documents.samples import NUMBER, a_content, a_receipt, text_of


def test_it_says_who_looked_at_which_content_and_when():
    words = text_of(view_receipt_pdf(a_receipt()))

    assert "令和8年11月23日" in words
    assert "照会日時 2026/11/23 12:05" in words
    assert "照会した発注者 栃木県" in words
    assert "照会した者 契約課　𠮷田　﨑子" in words
    assert f"保証契約番号 {NUMBER}" in words
    assert "電子保証発行日時 2026/11/21 09:05" in words
    assert a_content().sha256() in words
