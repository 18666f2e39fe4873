"""Services asked as their contracts describe them, by a plugin that takes long to load: only where it is used."""

import pytest


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.import_plugin("schemathesis.pytest.plugin")
