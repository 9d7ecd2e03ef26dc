"""One virtual environment a peer, made when it is first asked for, and programs run in it.

Every environment borrows the packages of the environment that this runs in, so that all compare on the same build of
PyTorch, and adds its own: those that `environments/NAME.txt` lists, which is all that it needs beyond what it borrows.
"""

import json
import subprocess
import sys
import sysconfig
import time
import venv
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
FOLDER = Path("runs/benchmarks/environments")
OWN = "rushlight"  # its environment is the one that this runs in


def python_of(name: str) -> Path:
    """The interpreter of a peer's environment, which is made if it is not there yet."""
    if name == OWN:
        return Path(sys.executable)
    listed = HERE / "environments" / f"{name}.txt"
    folder = (FOLDER / name).absolute()
    python = folder / "bin" / "python"
    installed = folder / "installed.txt"
    if installed.is_file() and installed.read_text() == listed.read_text():
        return python
    print(f"making the environment of {name} in {folder}", file=sys.stderr)
    venv.create(folder, with_pip=True, clear=True)
    paths = json.loads(_output(python, "-c", "import json, sysconfig; print(json.dumps(sysconfig.get_paths()))"))
    (Path(paths["purelib"]) / "borrowed.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--no-deps", "-r", listed], check=True)
    installed.write_text(listed.read_text())
    return python


def run_in(name: str, script: str, *words: object) -> dict[str, Any]:
    """Run a script of this folder in a peer's environment.

    Args:
        name: of the peer.
        script: a file name beside this one; it prints one JSON object as its last line.
        words: its arguments.

    Returns:
        That object, and under `wall_seconds` the time from start to end of the process.
    """
    started = time.perf_counter()
    last = _output(python_of(name), HERE / script, *words).strip().splitlines()[-1]
    return json.loads(last) | {"wall_seconds": time.perf_counter() - started}


def let_torchvision_load() -> None:
    """Import torchvision also beside a build of PyTorch that its compiled operators were not made for.

    No peer calls one of them here, but some import torchvision, which stops where it finds them missing. So what it
    looks for is declared, without an implementation. Beside the build that it was made for nothing is declared.
    """
    import re

    import torch

    library = torch.library.Library("torchvision", "FRAGMENT")
    while True:
        try:
            import torchvision  # noqa: F401

            return
        except RuntimeError as error:
            missing = re.search(r"operator torchvision::(\w+) does not exist", str(error))
            if missing is None:
                raise
            library.define(f"{missing[1]}(Tensor x) -> Tensor")
            _DECLARED.append(library)  # a library takes its operators along when it goes
            for module in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
                del sys.modules[module]


_DECLARED: list[Any] = []


def versions(name: str, *packages: str) -> dict[str, str]:
    """Versions of packages in a peer's environment."""
    code = "import json, sys, importlib.metadata as m; print(json.dumps({p: m.version(p) for p in sys.argv[1:]}))"
    found: dict[str, str] = json.loads(_output(python_of(name), "-c", code, *packages))
    return found


def _output(python: Path, *words: object) -> str:
    return subprocess.run(list(map(str, [python, *words])), check=True, stdout=subprocess.PIPE, text=True).stdout
