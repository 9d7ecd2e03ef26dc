"""Run the lessons and keep what they show.

    python lessons/execute.py                       all of them
    python lessons/execute.py lessons/1_*.ipynb     one

A notebook that fails is left as it was. What goes to stderr (how far it is, warnings of an installation) and what
changes from run to run without meaning anything (times, versions, ids of widgets) is not kept, so that a difference
between two commits is a difference in the lesson.

Pictures of data sets that are not ours to pass on do not belong in the repository: for outputs that are committed, run
lessons 3 and 4 without RUSHLIGHT_DATA and with an empty RUSHLIGHT_CACHE, so that they take the embedded data.
"""

import base64
import io
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from PIL import Image

SECONDS_A_CELL = 1800
COLOURS = 256  # of a picture; a palette makes the files half as large
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def smaller(picture: str) -> str:
    """A PNG in base64 with a palette in place of full colours."""
    image = Image.open(io.BytesIO(base64.b64decode(picture))).convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    target = io.BytesIO()
    image.save(target, "png", optimize=True)
    return base64.b64encode(target.getvalue()).decode()


def execute(path: Path) -> None:
    """Run every cell of a notebook in order, and write it back with its outputs."""
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook, timeout=SECONDS_A_CELL, record_timing=False, resources={"metadata": {"path": str(path.parent)}}
    )
    client.execute()
    notebook.metadata = nbformat.from_dict(METADATA)
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number}"
        cell.metadata = nbformat.from_dict({})
        if "outputs" in cell:
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
        for output in cell.get("outputs", []):
            output.pop("metadata", None)
            if output.output_type in ("execute_result", "display_data"):
                output["metadata"] = nbformat.from_dict({})
                if "image/png" in output.data:
                    output.data["image/png"] = smaller(output.data["image/png"])
    nbformat.validate(notebook)
    nbformat.write(notebook, path)


def main() -> None:
    """Run those named, or all."""
    chosen = [Path(name) for name in sys.argv[1:]] or sorted(Path(__file__).parent.glob("*.ipynb"))
    for path in chosen:
        print(path.name, flush=True)
        execute(path)


if __name__ == "__main__":
    main()
