"""A folder of the host that nothing hostile may touch."""

import os

import pytest


@pytest.fixture
def canary(tmp_path):
    folder = tmp_path / "host"
    folder.mkdir(mode=0o755)
    (folder / "canary").write_text("alive")
    return folder


def check(canary):
    assert sorted(os.listdir(canary)) == ["canary"]
    assert (canary / "canary").read_text() == "alive"
