import pytest

from documents.key_notice import key_notice_file_name, key_notice_pdf
from tests.integration.documents.samples import AT, KEY, NUMBER, a_key_notice, read, text_of


def printed(**changes):
    return text_of(key_notice_pdf(a_key_notice(**changes), at=AT))


@pytest.mark.parametrize(
    "sentence",
    [
        "発注者へ提出する書類",
        "電子保証にかかる「認証キー」のお知らせ",
        "電子証書を「保証確認サービス（あかしView）」に掲載しましたので、お知らせします。",
        "つきましては、お客様にて下記内容をご確認いただき、次のいずれかの方法でこのPDFファイルを発注者様にご提出ください。",
        "①電子契約システムへのアップロード又は②電子メールに添付して送信",
        (
            "電子保証のご利用にあたっては、発注者様への「保証契約番号」と「認証キー」のご提出をもって、"
            "前払金請求手続（前払金保証）、又は請負契約締結手続（契約保証）が完了いたします。"
        ),
        "ご不明な点がございましたら、当社の営業部・支店までお問い合わせください。",
        "工事名 ： 県道東山線道路改良工事　第１号",
        "受注者名 ： 株式会社髙﨑建設",
        "商品（保証区分） ： 前払金保証",
        f"保証契約番号 ： {NUMBER}",
        f"認証キー {KEY}",
        "【発注者様へのお願い】",
        "「保証確認サービス（あかしView）」にログインし、上記の「保証契約番号」と「認証キー」をもって電子証書を閲覧ください。",
        "東都建設業保証株式会社",
    ],
)
def test_net_desk_has_the_words_of_the_leaflets(sentence):
    assert sentence in printed()


def test_e_net_has_its_own_title_and_warning():
    words = printed(family="e-net")

    assert "認証キー等のお知らせ" in words
    assert "【重要】当該PDFファイルを「発注者」へご提出ください" in words
    assert f"認証キー {KEY}" in words
    assert "電子保証にかかる" not in words


def test_the_sureties_own_title_goes_before_the_familys():
    assert "認証キーのご案内" in printed(title="認証キーのご案内")


def test_an_interim_payment_is_claimed_by_its_own_procedure():
    words = printed(product_name="中間前払金保証")

    assert "をもって、中間前払金請求手続（中間前払金保証）、又は請負契約締結手続（契約保証）が完了いたします。" in words


def test_a_joint_venture_is_named_by_its_representative():
    assert "株式会社髙﨑建設　（JVの場合は代表者）" in printed(is_jv=True)
    assert "JV" not in printed()


def test_how_this_purchaser_takes_it_is_said_only_where_it_is_known():
    assert "ご提出方法" in printed()
    assert "栃木県にご送信ください。" in printed()
    assert "【お客様へ】" not in printed(submission=())


@pytest.mark.parametrize("key", [KEY, KEY.lower(), KEY.upper()])
def test_a_link_with_the_key_in_it_is_refused(key):
    with pytest.raises(ValueError, match="must not be in a link"):
        a_key_notice(purchaser_page_url=f"https://view.akashi.example/?number={NUMBER}&key={key}")


def test_the_code_to_scan_is_told_to_those_who_listen():
    drawn = key_notice_pdf(a_key_notice(), at=AT)

    assert f"発注者様用ページの二次元コード https://view.akashi.example/certificates/{NUMBER}" in alternatives(
        read(drawn)
    )


def alternatives(pdf):
    """What stands for pictures, from the structure of the document."""
    waiting, found = [pdf.root_object["/StructTreeRoot"]["/K"]], []
    while waiting:
        element = waiting.pop().get_object()
        if isinstance(element, list):
            waiting += [each for each in element if not isinstance(each, int)]
        elif isinstance(element, dict):
            found += [element["/Alt"]] if "/Alt" in element else []
            waiting += [element["/K"]] if "/K" in element and not isinstance(element["/K"], int) else []
    return found


def test_a_family_without_words_is_refused():
    with pytest.raises(ValueError, match="no wording"):
        a_key_notice(family="other")


def test_the_file_is_named_in_the_familys_words():
    assert key_notice_file_name(a_key_notice(family="e-net")) == f"認証キー等のお知らせ_{NUMBER}.pdf"
