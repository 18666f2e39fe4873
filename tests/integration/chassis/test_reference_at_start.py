"""Every service reads the reference data that it was told of, and starts with no others."""

from pathlib import Path

import pytest

from reference.errors import InvalidReference
from tests.support.databases import Databases
from tests.support.keys import Keyring
from tests.support.services import make_service


@pytest.mark.parametrize("name", ["intake", "issuer", "registry", "notifier"])
def test_a_service_reads_the_reference_data_that_it_was_told_of(
    name: str, databases: Databases, keys: Keyring, tmp_path: Path
) -> None:
    with pytest.raises(InvalidReference):
        make_service(name, databases, keys, reference_dir=tmp_path)
