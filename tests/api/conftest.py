"""The fixture of the API tests."""

import pytest
from callers import SETTINGS, World


@pytest.fixture(scope="module")
def settings():
    return SETTINGS


@pytest.fixture(scope="module")
def world(server):
    return World(server)
