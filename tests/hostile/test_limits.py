"""Every limit bites where it is set, with a message that names what was too much, and the same image fits without it."""

import gzip
import json
import tarfile

import pytest

from image import LayerTar
from test_table_layers import liar, serve  # noqa: F401 (a fixture)


def deep(layer):
    return layer.add("/".join(["d"] * 30) + "/f", b"x")


LIMITS = {
    "layer-size": (100_000, lambda: LayerTar().add("large", bytes(300_000)), "layer is larger than 100000 bytes"),
    "layer-entries": (10, lambda: [layer := LayerTar(), [layer.add(f"f{number}") for number in range(11)]][0], "layer has more than 10 entries"),
    "path-depth": (30, lambda: deep(LayerTar()), "more than 30 levels deep"),
    "header-size": (4096, lambda: LayerTar().add("f", pax={"comment": "x" * 600_000}), "header is larger than 4096 bytes"),
    "manifest-size": (100, lambda: LayerTar().add("f"), "manifest is larger than 100 bytes"),
}


@pytest.mark.parametrize("limit", LIMITS)
def test_a_limit_bites_where_it_is_set(sampan, liar, tmp_path, limit):  # noqa: F811
    value, build, words = LIMITS[limit]
    tar = build().bytes()
    serve(liar, gzip.compress(tar), tars=[tar])
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"limits": {limit: value}}))
    error = sampan.run("--config", config, "pull", f"{liar.host}/x", code=1).stderr
    assert words in error and error.count("\n") == 1, error
    assert sampan.out("images", "-q") == "" and not list((sampan.root / "staging").iterdir())
    sampan.run("pull", f"{liar.host}/x")


def test_the_ratio_has_a_setting(sampan, liar, tmp_path):  # noqa: F811
    zeros = bytes(64 << 20)
    info = tarfile.TarInfo("zeros")
    info.size = 20 * len(zeros)  # the ratio counts above 1 GiB
    serve(liar, gzip.compress(info.tobuf()) + 20 * gzip.compress(zeros, 1), tars=[b""])
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"limits": {"layer-ratio": 20}}))
    error = sampan.run("--config", config, "pull", f"{liar.host}/x", code=1, timeout=120).stderr
    assert "layer inflates to more than 20 times its size" in error and error.count("\n") == 1, error
    assert not list((sampan.root / "staging").iterdir())
