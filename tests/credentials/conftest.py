from __future__ import annotations

import keyring.core
import pytest


@pytest.fixture
def use_keyring():
    """Makes a backend object the one that keyring uses in this process."""
    before = keyring.core._keyring_backend

    def use(backend):
        keyring.set_keyring(backend)
        return backend

    yield use
    keyring.core._keyring_backend = before
