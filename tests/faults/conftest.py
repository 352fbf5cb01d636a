from __future__ import annotations

import pytest
from faults.peers import authority


@pytest.fixture(scope="session")
def ca_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    authority().cert_pem.write_to_path(path)
    return path
