"""One stack whose lines can be cut, for all tests that cut them; and a table at the end: what each fault came to."""

from collections.abc import AsyncIterator, Generator, Iterator
from dataclasses import asdict, fields

import pytest

from tests.fault.settling import FIGURES, HAPPENED, Figures
from tests.support.wired import WiredStack, wired_stack

#: Travels with the report, also from another process.
_PROPERTY = "fault"


@pytest.fixture(scope="session")
async def _wired() -> AsyncIterator[WiredStack]:
    async with wired_stack() as running:
        yield running


@pytest.fixture
def wired(_wired: WiredStack) -> Iterator[WiredStack]:
    """Each test leaves it whole: its lines are mended, and `settled` is asked last."""
    yield _wired
    _wired.mend()


@pytest.fixture(scope="session")
async def _frail() -> AsyncIterator[WiredStack]:
    async with wired_stack(frail=True) as running:
        yield running


@pytest.fixture
def frail(_frail: WiredStack) -> Iterator[WiredStack]:
    """Likewise, and its services' clocks can be set, and its broker has a small disk."""
    yield _frail
    _frail.mend()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.when == "call":
        report.user_properties.extend((_PROPERTY, asdict(figures)) for figures in FIGURES)
        FIGURES.clear()
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for report in (*terminalreporter.stats.get("passed", []), *terminalreporter.stats.get("failed", [])):
        for happened in (value for name, value in report.user_properties if name == HAPPENED):
            if report.when == "call":
                terminalreporter.section("what happened")
                terminalreporter.write_line("\n".join(happened))
    rows = [
        (f"{report.nodeid.split('::')[-1]}{' FAILED' if report.failed else ''}", figures)
        for report in (*terminalreporter.stats.get("passed", []), *terminalreporter.stats.get("failed", []))
        for name, figures in report.user_properties
        if name == _PROPERTY
    ]
    if not rows:
        return
    names = [field.name for field in fields(Figures)]
    terminalreporter.section("what the faults came to")
    terminalreporter.write_line("  ".join(name.replace("_", " ") for name in names))
    for test, figures in rows:
        cells = "  ".join(f"{round(figures[name], 1):>{len(name)}}" for name in names)
        terminalreporter.write_line(f"{cells}  {test}")
