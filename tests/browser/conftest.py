"""Tests that look at the pages as people do: the whole stack, and a real browser."""

from tests.support.browser import browser

__all__ = ["browser"]
