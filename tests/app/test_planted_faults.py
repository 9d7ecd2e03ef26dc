"""The check on real photographs with planted faults: the bar that the benchmark measures in full."""

import runpy
from pathlib import Path

import pytest

from rushlight.app.data_check import check_images
from rushlight.data import catalog

BENCHMARK = Path(__file__).resolve().parents[2] / "benchmarks" / "check_planted_faults.py"
EACH = 20


@pytest.mark.data
@pytest.mark.slow
def test_copies_and_broken_files_among_photographs_are_found(
    data_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUSHLIGHT_DATA", str(data_folder))
    benchmark = runpy.run_path(str(BENCHMARK))
    source = catalog.get("dogscats")
    planted = benchmark["Planted"](source, tmp_path / "dogscats", EACH, seed=1)
    found = check_images(str(tmp_path / "dogscats"), features=False)
    before = check_images(str(source), features=False)
    known = {file for group in benchmark["named"](before, "duplicate_across_parts") for file in group}
    rows = benchmark["scores"](planted, found, known)
    recall = {kind: hits / count for kind, count, hits, _, _ in rows}
    precision = {kind: right / listed for kind, _, _, listed, right in rows if listed}
    for kind in ("copied", "half size", "encoded again", "mirrored"):
        assert recall[f"copy in the other part: {kind}"] >= 0.9
        assert precision[f"copy in the other part: {kind}"] >= 0.9
    for kind in ("cut off", "empty", "another type"):
        assert recall[f"unreadable: {kind}"] == 1
        assert precision[f"unreadable: {kind}"] == 1
