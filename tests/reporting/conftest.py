from __future__ import annotations

import pytest

from tests.reporting.results import Results, make


@pytest.fixture(scope="session")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return make(tmp_path_factory.mktemp("report"))
