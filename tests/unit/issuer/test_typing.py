"""FORM-14: what a person at the desk may write."""

import pytest

from chassis.web.problems import Problem
from services.issuer.typed import lines_of


def test_line_ends_become_one_kind_and_space_around_goes():
    assert lines_of("　一行目\r\n二行目\r三行目\n\n", "text", longest=100) == "一行目\n二行目\n三行目"


@pytest.mark.parametrize("text", ["髙﨑・𠮷田", "①㈱", "a\tb", "（注）"])
def test_what_can_be_printed_is_kept(text):
    assert lines_of(text, "text", longest=100) == text


@pytest.mark.parametrize("char", ["\x00", "\x1b", "\x85", "\u200b", "\u202e", "\ue000", "\ud800", "\uffff"])
def test_what_cannot_be_printed_is_refused_and_named(char):
    with pytest.raises(Problem) as refused:
        lines_of(f"ご確認{char}ください。", "text", longest=100)

    (error,) = refused.value.errors
    assert (refused.value.status, error.field, error.rule) == (422, "text", "FORM-14")
    assert f"U+{ord(char):04X}" in error.message_ja


def test_a_text_may_reach_its_length_and_no_more():
    assert len(lines_of("あ" * 2000, "text", longest=2000)) == 2000
    with pytest.raises(Problem):
        lines_of("あ" * 2001, "text", longest=2000)
