"""What all tests share: a cache of their own, no downloads, and the way to the real data sets."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

if "PYTEST_XDIST_WORKER" in os.environ:  # a process a core: more threads than cores would wait for each other
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# How long an example takes says nothing on a busy machine.
settings.register_profile("rushlight", deadline=None)
settings.load_profile("rushlight")

PROJECT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session", autouse=True)
def sealed_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Decoded images go to a temporary cache, and nothing is downloaded."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RUSHLIGHT_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("RUSHLIGHT_OFFLINE", "1")
        patch.setenv("NO_COLOR", "1")
        yield


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder of real data sets; a test that asks for it is skipped where there is none."""
    named = os.environ.get("RUSHLIGHT_DATA")
    folder = Path(named) if named else PROJECT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no real data in '{folder}' (set RUSHLIGHT_DATA to the folder that holds it)")
    return folder


@pytest.fixture(scope="session")
def cifar10_archive(data_folder: Path) -> Path:
    """The packed CIFAR-10."""
    archive = data_folder / "cifar10.tar.xz"
    if not archive.is_file():
        pytest.skip(f"there is no '{archive}'")
    return archive
