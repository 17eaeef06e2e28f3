"""A machine without a network: from files to calls, nothing is asked of one."""

import socket

import pytest

import anna
from anna import cnmc, models


@pytest.fixture
def offline(monkeypatch):
    """No name is found and no connection made."""

    def unreachable(*_, **__):
        raise OSError("Network is unreachable")

    monkeypatch.setattr(socket.socket, "connect", unreachable)
    monkeypatch.setattr(socket, "getaddrinfo", unreachable)
    monkeypatch.setattr(socket, "create_connection", unreachable)


def test_the_trained_network_judges_files(offline, sample_root, own_output):
    with pytest.raises(OSError, match="unreachable"):
        socket.create_connection(("example.org", 80))
    model, cells = models.pretrained(), cnmc.index(sample_root)
    found = anna.predict.files(model, cells["path"].head(1), batch_size=1, progress=False)
    assert found["probability"].between(0, 1).all()
