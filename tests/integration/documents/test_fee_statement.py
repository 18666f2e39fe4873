from documents.fee_statement import fee_statement_pdf
from tests.integration.documents.samples import NUMBER, a_fee_statement, text_of


def test_every_step_of_the_fee_is_printed_as_given():
    words = text_of(fee_statement_pdf(a_fee_statement()))

    assert "株式会社髙﨑建設　様" in words
    assert f"保証契約番号 {NUMBER}" in words
    assert "500万円以下の部分 5,000,000円 0.35% 17,500円" in words
    assert "500万円を超え2,000万円以下の部分 15,000,000円 0.30% 45,000円" in words
    assert "合計 62,500円" in words
    assert "令和8年4月1日" in words


def test_rates_are_said_to_be_illustrative():
    assert "保証料率は例示であり、" in text_of(fee_statement_pdf(a_fee_statement()))
