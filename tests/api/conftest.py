"""The fixture of the API tests."""

import pytest
from callers import SETTINGS, Callers


@pytest.fixture(scope="module")
def settings():
    return SETTINGS


@pytest.fixture(scope="module")
def callers(server):
    return Callers(server)
