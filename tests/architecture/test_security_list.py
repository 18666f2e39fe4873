"""What docs/security.md says is shown by tests that there are, and it leaves nothing out."""

import re

from deploy.local.state import CLONE

LIST = CLONE / "docs" / "security.md"
#: The lines of level 2 in ASVS 4.0.3, by section.
LEVEL_2 = {
    "1": "1.1-7 2.1-4 4.1,4,5 5.1-4 6.1-4 7.1-2 8.1-2 9.1-2 10.1 11.1-2 12.2 14.1-6",
    "2": "1.1-12 2.1-3 3.1-3 4.1-5 5.1-7 6.1-3 7.1-6 8.1-7 9.1-3 10.1-4",
    "3": "1.1 2.1-4 3.1-4 4.1-5 5.1-3 7.1",
    "4": "1.1-3,5 2.1-2 3.1-3",
    "5": "1.1-5 2.1-8 3.1-10 4.1-3 5.1-4",
    "6": "1.1-3 2.1-6 3.1-2 4.1-2",
    "7": "1.1-4 2.1-2 3.1,3,4 4.1-3",
    "8": "1.1-4 2.1-3 3.1-8",
    "9": "1.1-3 2.1-4",
    "10": "2.1-2 3.1-3",
    "11": "1.1-8",
    "12": "1.1-3 2.1 3.1-6 4.1-2 5.1-2 6.1",
    "13": "1.1,3-5 2.1-3,5-6 3.1-2 4.1-2",
    "14": "1.1-4 2.1-6 3.2-3 4.1-7 5.1-4",
}


def test_every_test_that_the_list_names_is_there() -> None:
    named = set(re.findall(r"`(test_\w+)`", LIST.read_text()))
    there = {
        name
        for path in (CLONE / "tests").rglob("test_*.py")
        for name in re.findall(r"^(?:async )?def (test_\w+)\(", path.read_text(), re.MULTILINE)
    }

    assert len(named) > 50
    assert named - there == set()


def test_the_list_names_every_line_of_level_2_and_no_other() -> None:
    asked = {
        f"{chapter}.{section}.{line}"
        for chapter, sections in LEVEL_2.items()
        for section, lines in (each.split(".") for each in sections.split())
        for first, _, last in (span.partition("-") for span in lines.split(","))
        for line in range(int(first), int(last or first) + 1)
    }
    rows = re.findall(r"^\| (\d+\.\d+\.\d+(?:, \d+\.\d+\.\d+)*) \|", LIST.read_text(), re.MULTILINE)

    assert len(asked) == 259
    assert {line for row in rows for line in row.split(", ")} == asked
