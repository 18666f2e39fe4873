import re
from dataclasses import astuple

import pytest

from documents.certificate import certificate_file_name, certificate_pdf
from documents.certificate_view import certificate_view
from documents.html import STATIC, certificate_html
from tests.integration.documents.samples import AT, NUMBER, a_content, text_of

CHANGED = {"version": 3, "change_number": 2, "jv_name": "髙﨑・𠮷田特定建設工事共同企業体"}


def printed(**changes):
    return text_of(certificate_pdf(a_content(**changes), registered_at=AT))


def page(**changes):
    return certificate_html(certificate_view(a_content(**changes), registered_at=AT))


def strings(value):
    """Every text in a view, whatever it is nested in."""
    if isinstance(value, str):
        return [value]
    return [each for part in value for each in strings(part)] if isinstance(value, tuple) else []


def seen(html):
    """The text of a page without its tags."""
    return re.sub(r"\s*<[^>]*>\s*", "", str(html)).replace("&amp;", "&").replace("&#34;", '"')


@pytest.mark.parametrize(
    "words",
    [
        "令和08年04月01日",
        "保証証書（前払金保証）",
        "保証証書（書面）の発行は行わない 電子的な取扱となります",
        f"保証契約番号 {NUMBER}",
        "栃木県宇都宮市東山町３丁目３番３号",
        "株式会社髙﨑建設",
        "被保証者 栃木県知事",
        "保証金額（総額） 20,000,000 円",
        "保証期限 令和09年03月19日",
        "工事名 県道東山線道路改良工事　第１号",
        "請負金額（総額） 50,000,000 円",
        "工期 令和08年04月02日 ～ 令和09年03月18日",
        "請負契約日 令和08年03月31日",
        "預託金融機関 ○○銀行　××支店",
        "当会社は、前払金保証約款に基づき上記のとおり保証契約を締結し、その責に任じます。",
        "東京都中央区東山町1丁目1番1号東都建設業保証株式会社取締役社長　東山　三郎",
        "TEL：028-000-0001",
        "FAX：028-000-0101",
        "（注）1. 保証契約を変更する場合は、表題の下に変更ー の表示と変更の発生番号を付記し、変更後の契約内容を表示します。",
        "2. 請負金額のみの変更の場合は、",
        "電子保証発行日時　2026/11/21 09:05",
    ],
)
def test_the_print_says_what_the_rules_of_the_certificate_say(words):
    assert words in printed()


def test_the_print_says_that_it_is_not_to_be_handed_in():
    assert printed().startswith("この書面は発注者への提出用ではありません")
    assert "発注者へ提出する書類" not in printed()


def test_a_change_says_its_number_under_the_title():
    assert "保証証書（前払金保証）変更ー2保証証書（書面）" in printed(**CHANGED)
    assert "変更ー0" not in printed()


def test_rows_without_anything_to_say_are_left_out():
    assert "預託金融機関" not in printed(deposit_bank=None)
    assert "JV名" not in printed()
    assert "JV名 髙﨑・𠮷田特定建設工事共同企業体" in printed(**CHANGED)


def test_a_certificate_without_legend_and_notes_is_drawn():
    assert "（注）" not in printed(legend="", notes=())


def test_the_print_shows_the_hash_of_what_it_says():
    assert a_content().sha256() in printed()


@pytest.mark.parametrize("changes", [{}, CHANGED, {"deposit_bank": None, "specimen": True}])
def test_page_and_print_say_the_same(changes):
    view = certificate_view(a_content(**changes), registered_at=AT)
    facts = set(strings(astuple(view))) - set(view.notices)

    print_says, page_says = printed(**changes), seen(page(**changes))
    assert {fact for fact in facts if fact not in print_says} == set()
    assert {fact for fact in facts if fact not in page_says} == set()


def test_the_page_says_what_the_screen_has_to_say_first():
    for notice in certificate_view(a_content(), registered_at=AT).notices:
        assert notice in page()


def test_markup_in_a_name_is_shown_and_never_obeyed():
    html = page(works_name='<script>alert("x")</script>')

    assert "<script" not in html
    assert "&lt;script&gt;" in html


def test_the_page_holds_under_a_strict_content_security_policy():
    assert not re.search(r"<script|<style|\sstyle=|\son\w+=|javascript:|src=", str(page(specimen=True)))


def test_the_page_is_a_table_that_can_be_read_aloud():
    html = page(**CHANGED)

    assert '<article class="certificate" lang="ja" aria-labelledby="certificate-title">' in html
    assert html.count('<th scope="row">') == html.count("<tr>") == 11


def test_only_a_specimen_is_marked_on_the_page():
    assert "certificate-specimen" in page(specimen=True)
    assert "見本" in seen(page(specimen=True))
    assert "certificate-specimen" not in page()
    assert "見本" not in seen(page())


def test_every_class_of_the_page_is_in_the_style_sheet():
    classes = set(
        re.findall(r"certificate[-\w]*", " ".join(re.findall(r'class="([^"]*)"', page(specimen=True, **CHANGED))))
    )
    styled = set(re.findall(r"\.(certificate[-\w]*)", (STATIC / "certificate.css").read_text()))

    assert classes <= styled
    assert styled <= classes


def test_a_change_has_a_file_of_its_own():
    assert certificate_file_name(a_content(**CHANGED)) == f"保証証書_{NUMBER}_変更2.pdf"
