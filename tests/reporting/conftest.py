from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.reporting.browser import CHROMIUM, SWITCHES
from tests.reporting.results import Comparisons, Results, compared, make


@pytest.fixture(scope="session")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return make(tmp_path_factory.mktemp("report"))


@pytest.fixture(scope="session")
def comparisons(tmp_path_factory: pytest.TempPathFactory) -> Comparisons:
    return compared(tmp_path_factory.mktemp("compared"))


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as started:
        found = started.chromium.launch(executable_path=CHROMIUM, args=SWITCHES)
        yield found
        found.close()
