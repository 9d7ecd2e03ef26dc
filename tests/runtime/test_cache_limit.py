"""The cache within its limit: what was unused for longest goes first, and nothing that cannot be computed again."""

import os
import time
from pathlib import Path

import pytest

from rushlight.runtime.cache_limit import cache_sizes, clear_computed, keep_within_limit, mark_used
from rushlight.runtime.errors import InputError

HOUR = 3600


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RUSHLIGHT_CACHE", str(tmp_path))
    monkeypatch.setenv("RUSHLIGHT_CACHE_LIMIT", "0.000001")  # 1,000 bytes
    return tmp_path


def kept(cache: Path, kind: str, name: str, hours: float, size: int = 400) -> Path:
    path = cache / kind / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * size)
    os.utime(path, (time.time() - hours * HOUR,) * 2)
    return path


def test_the_longest_unused_goes_first_and_only_as_much_as_needed(cache):
    old, older = kept(cache, "images", "a.npy", 20), kept(cache, "features", "b.npy", 30)
    recent = kept(cache, "text", "c.npy", 2)
    assert keep_within_limit() == 400
    assert (old.exists(), older.exists(), recent.exists()) == (True, False, True)
    assert keep_within_limit() == 0


def test_what_is_read_again_stays(cache):
    files = [kept(cache, "images", f"{number}.npy", 20 - number) for number in range(4)]
    mark_used(files[0])
    keep_within_limit()
    assert [file.exists() for file in files] == [True, False, False, True]


def test_downloads_and_what_may_be_in_use_are_never_deleted(cache):
    for kind in ("weights", "data"):
        kept(cache, kind, "large", 1000, 5000)
    for number in range(9):
        kept(cache, "images", f"{number}.npy", 0.5)
    assert keep_within_limit() == 0
    assert cache_sizes() == {"images": 3600, "features": 0, "text": 0, "weights": 5000, "data": 5000}
    assert clear_computed() == 3600
    assert cache_sizes()["weights"] == 5000


@pytest.mark.parametrize("limit", ["many", "-1", "nan"])
def test_a_limit_that_is_no_number_is_refused(cache, monkeypatch, limit):
    monkeypatch.setenv("RUSHLIGHT_CACHE_LIMIT", limit)
    with pytest.raises(InputError, match="RUSHLIGHT_CACHE_LIMIT"):
        keep_within_limit()
