"""Two machines as two network namespaces with a cable between them, which is pulled out and put in again."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from rushlight.runtime.checkpoint import read_checkpoint
from rushlight.runtime.state_file import StateFile
from tests.app.conftest import write_photos
from tests.distributed.launching import PROJECT, environment, rushlight_under_torchrun, wait_until

pytestmark = [pytest.mark.distributed, pytest.mark.slow, pytest.mark.timeout(600)]

ADDRESSES = ("10.77.31.1", "10.77.31.2")
SILENCE = 6  # seconds; the cable is out for longer
WORDS = ("--model", "conv_layers", "--size", "32", "--batch-size", "6", "--epochs", "30", "--no-report",
         "--save-every", "0.2")  # fmt: skip


class Hosts:
    """The two namespaces.

    Args:
        name: with which their names begin.
    """

    def __init__(self, name: str) -> None:
        self.names = (f"{name}a", f"{name}b")
        self.cable = (f"{name}ea", f"{name}eb")
        for host in self.names:
            ip("netns", "add", host)
        ip("link", "add", self.cable[0], "netns", self.names[0], "type", "veth", "peer", "name", self.cable[1],
           "netns", self.names[1])  # fmt: skip
        for host, end, address in zip(self.names, self.cable, ADDRESSES, strict=True):
            ip("-n", host, "address", "add", f"{address}/24", "dev", end)
            ip("-n", host, "link", "set", "lo", "up")
            ip("-n", host, "link", "set", end, "up")

    def plug(self, is_in: bool) -> None:
        """Put the cable in or pull it out, at the second machine."""
        ip("-n", self.names[1], "link", "set", self.cable[1], "up" if is_in else "down")

    def remove(self) -> None:
        """Take the machines away, and the cable with them."""
        for host in self.names:
            subprocess.run(["ip", "netns", "delete", host], check=False, capture_output=True)

    def train(self, photos: Path, folder: Path) -> list["subprocess.Popen[bytes]"]:
        """Start the same command on both; what each writes and keeps stands in a folder of its own."""
        started = []
        for number, (host, end, address) in enumerate(zip(self.names, self.cable, ADDRESSES, strict=True)):
            own = folder / host
            own.mkdir(parents=True)
            launcher = rushlight_under_torchrun("train", "images", photos, *WORDS, "--output", own / "run", ranks=1)
            launcher.remove("--standalone")
            launcher[3:3] = [
                "--nnodes=2", "--max-restarts=5", "--rdzv-backend=c10d", f"--rdzv-endpoint={ADDRESSES[0]}:29431",
                f"--rdzv-id={folder.name}", f"--local-addr={address}", f"--rdzv-conf=is_host={1 - number}",
            ]  # fmt: skip
            variables = environment(
                GLOO_SOCKET_IFNAME=end, RUSHLIGHT_CACHE=str(own / "cache"), RUSHLIGHT_SECONDS_OF_SILENCE=str(SILENCE)
            )
            log = (own / "log").open("w")
            settings = {"env": variables, "cwd": PROJECT, "stdout": log, "stderr": log, "start_new_session": True}
            started.append(subprocess.Popen(["ip", "netns", "exec", host, *launcher], **settings))
        return started


def ip(*words: str) -> None:
    """Run the tool of the network; where it may not do its work, the test is skipped."""
    done = subprocess.run(["ip", *words], check=False, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"ip {' '.join(words)}: {done.stderr.strip()}")


@pytest.fixture
def hosts() -> Iterator[Hosts]:
    if shutil.which("ip") is None:
        pytest.skip("there is no 'ip' on this machine (package iproute2)")
    if os.getuid() != 0:
        pytest.skip("only root may make network namespaces")
    made = Hosts(f"rl{os.getpid() % 10000}")
    yield made
    made.remove()


def ends_well(started: list["subprocess.Popen[bytes]"], folder: Path) -> None:
    """Wait for both; what they said is the message where one failed."""
    try:
        codes = [process.wait(timeout=240) for process in started]
    except subprocess.TimeoutExpired:
        codes = [-1]
    finally:
        for process in started:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    said = "\n".join(log.read_text()[-3000:] for log in folder.glob("*/log"))
    assert codes == [0, 0], said


def test_a_cable_that_is_pulled_out_changes_nothing_but_the_time(hosts: Hosts, tmp_path: Path) -> None:
    photos = write_photos(tmp_path / "photos", each=12)
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    ends_well(hosts.train(photos, whole), whole)
    run = cut / hosts.names[0] / "run"
    started = hosts.train(photos, cut)
    wait_until(lambda: StateFile(run).exists() and StateFile(run).read()[0]["learner"]["step"] > 10)
    hosts.plug(False)
    time.sleep(SILENCE + 4)
    hosts.plug(True)
    ends_well(started, cut)
    assert "going on with" in (cut / hosts.names[0] / "log").read_text()
    assert not (cut / hosts.names[1] / "run").exists()  # the first machine alone writes
    tensors, others = (
        read_checkpoint(folder / hosts.names[0] / "run" / "model.safetensors").tensors for folder in (whole, cut)
    )
    assert [name for name in tensors if not np.array_equal(tensors[name].numpy(), others[name].numpy())] == []
