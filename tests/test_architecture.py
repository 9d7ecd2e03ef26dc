"""The rules of the house that a machine can check: layers, imports, public names."""

import subprocess
import sys
from pathlib import Path

import pytest

import rushlight

PROJECT = Path(__file__).resolve().parents[1]
HEAVY = ("torch", "numpy", "matplotlib", "sklearn", "PIL", "scipy")


def python(code: str) -> str:
    """What a fresh interpreter prints."""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_packages_import_only_what_lies_below_them() -> None:
    code = "import sys; from importlinter.cli import lint_imports_command as lint; lint(['--no-cache'])"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    "action",
    [
        "import rushlight",
        "import rushlight; dir(rushlight)",
        "from rushlight.app.cli import main; main(['--help'])",
        "from rushlight.app.cli import main; main(['train', 'images', '--help'])",
        "from rushlight.app.cli import main; main(['train', 'images', 'photos', '--epoch', '3'])",
    ],
)
def test_what_needs_no_computing_imports_nothing_heavy(action: str) -> None:
    loaded = python(f"{action}\nimport sys\nprint('loaded:', *sys.modules)").partition("loaded:")[2].split()
    assert not set(HEAVY).intersection(loaded)


def test_importing_every_module_changes_nothing_of_torch() -> None:
    code = """
import pkgutil, torch, rushlight
def state():
    return (torch.get_default_dtype(), torch.get_num_threads(), torch.initial_seed(), torch.is_grad_enabled(),
            torch.backends.cudnn.benchmark, torch.are_deterministic_algorithms_enabled())
before, generator = state(), torch.get_rng_state()
names = [module.name for module in pkgutil.walk_packages(rushlight.__path__, 'rushlight.')]
for name in names:
    __import__(name)
assert state() == before and torch.equal(torch.get_rng_state(), generator)
print(len(names))
"""
    assert int(python(code)) > 10


def test_public_names_are_those_of_their_modules() -> None:
    for name in rushlight.__all__:
        value = getattr(rushlight, name)
        if name != "__version__":
            # The optimizers are factories, functions by their lower-case names.
            assert value in (getattr(sys.modules[value.__module__], key, None) for key in (name, name.lower()))


def test_public_names_are_visible_before_they_are_imported() -> None:
    printed = python("import rushlight; print(*dir(rushlight))").split()
    assert set(rushlight.__all__) <= set(printed)


def test_unknown_public_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="ImageClasifier"):
        _ = rushlight.ImageClasifier
