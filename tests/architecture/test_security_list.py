"""What docs/security.md says is shown by tests that there are."""

import re

from deploy.local.state import CLONE

LIST = CLONE / "docs" / "security.md"


def test_every_test_that_the_list_names_is_there() -> None:
    named = set(re.findall(r"`(test_\w+)`", LIST.read_text()))
    there = {
        name
        for path in (CLONE / "tests").rglob("test_*.py")
        for name in re.findall(r"^(?:async )?def (test_\w+)\(", path.read_text(), re.MULTILINE)
    }

    assert len(named) > 50
    assert named - there == set()
