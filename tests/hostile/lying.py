"""tests/fakes/registry.py for the tests of this folder, and a pull from it that must fail properly."""

import base64
import json
import subprocess

import pytest

import image as images
from conftest import SOURCE


class LyingRegistry:
    """tests/fakes/registry.py, told what to serve."""

    def __init__(self):
        self.process = subprocess.Popen(["/usr/bin/python3", str(SOURCE / "tests/fakes/registry.py")], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self.ports = json.loads(self.process.stdout.readline())
        self.host = f"127.0.0.1:{self.ports['main']}"

    def say(self, command):
        self.process.stdin.write(json.dumps(command) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def serve(self, image, **more):
        body, media_type = image.manifest()
        entry = {"body": body.decode(), "type": media_type, "digest": images.digest_of(body)}
        blobs = {digest: base64.b64encode(data).decode() for digest, data in image.blobs.items()}
        repository = {"manifests": {"latest": entry, images.digest_of(body): entry}, "blobs": blobs}
        self.say({"set": {"repositories": {"x": repository}, **more}})
        return json.loads(body)

    def requests(self):
        return self.say({"log": True})["requests"]

    def stop(self):
        self.process.stdin.close()
        self.process.wait(10)


@pytest.fixture(scope="module")
def liar():
    server = LyingRegistry()
    yield server
    server.stop()


def pull(sampan, liar, code=1, **more):
    done = sampan.run("pull", f"{liar.host}/x", code=code, **more)
    if code:
        lines = [line for line in done.stderr.strip().split("\n")]
        assert len(lines) == 1, done.stderr
        assert "\x1b" not in done.stderr
        assert sampan.out("images", "-q") == ""
        for folder in ("layers", "staging"):
            path = sampan.root / folder
            assert not path.exists() or list(path.iterdir()) == [], folder
    return done
