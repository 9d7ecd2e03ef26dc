"""Data that a person opens: a folder of images or a text of this machine, under an id that is no path."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rushlight.app.data_kind import is_text
from rushlight.app.studio.library import id_of
from rushlight.data import catalog
from rushlight.data.decode import decode_image
from rushlight.data.samples import ImageSample, Scan, scan_folder
from rushlight.data.tables import scan_csv
from rushlight.data.text_files import text_paths
from rushlight.runtime.errors import InputError, nearest_name
from rushlight.runtime.files import write_json
from rushlight.runtime.run_folder import RUNS

EMBEDDED = ("digits", "python-prose")
THUMBNAIL = 96  # pixels
SHOWN_OF_EACH_CLASS = 12
CHARACTERS_SHOWN = 1200

_KEPT = RUNS / ".studio" / "opened.json"


@dataclass(frozen=True)
class Opened:
    """One opened data set.

    Attributes:
        place: a path, or a name of the catalog that needs no download.
        kind: `images` or `text`.
    """

    place: str
    kind: str

    @property
    def id(self) -> str:
        """What stands for it in addresses."""
        return id_of(Path(self.place))

    @property
    def name(self) -> str:
        """What it is called."""
        return Path(self.place).stem if Path(self.place).is_file() else Path(self.place).name

    @property
    def path(self) -> Path:
        """Where it is."""
        return catalog.get(self.place) if self.place in catalog.DATASETS else Path(self.place)


@dataclass(frozen=True)
class ImagesView:
    """What a page shows of images.

    Attributes:
        scan: the files.
        classes: for each class its name, how many images there are, and the numbers of some.
        parts: how many images are in each part.
    """

    scan: Scan
    classes: list[tuple[str, int, list[int]]]
    parts: dict[str, int]


class OpenedData:
    """What was opened, also before the studio was last started."""

    def __init__(self) -> None:
        self._views: dict[str, ImagesView] = {}

    def all(self) -> list[Opened]:
        """The newest first."""
        try:
            kept = json.loads(_KEPT.read_text(encoding="utf-8"))
            return [Opened(str(entry["place"]), str(entry["kind"])) for entry in kept]
        except (OSError, ValueError, KeyError, TypeError):
            return []

    def find(self, identity: str) -> Opened | None:
        """The one with an id."""
        return next((opened for opened in self.all() if opened.id == identity), None)

    def open(self, place: str) -> Opened:
        """Open a folder, a table of images or a text.

        Raises:
            InputError: there is no such thing, or it holds neither images nor text.
            StorageError: that it was opened cannot be noted.
        """
        place = place.strip()
        if not place or "\0" in place:
            raise InputError("name a folder of images, or a text file")
        path = Path(place).expanduser()
        if place in EMBEDDED:
            opened = Opened(place, catalog.DATASETS[place].kind)
        elif place in catalog.DATASETS and not path.exists():
            raise InputError(
                f"'{place}' is to be downloaded first: rushlight data get {place}, then name the folder that it prints"
            )
        elif not path.exists():
            raise InputError(f"there is no '{path}'; {nearest_name(place, [*EMBEDDED, *_beside(path)])}")
        else:
            opened = Opened(str(path.resolve()), "text" if is_text(str(path)) else "images")
        others = [other for other in self.all() if other != opened]
        write_json(_KEPT, [{"place": each.place, "kind": each.kind} for each in [opened, *others][:50]])
        return opened

    def images(self, opened: Opened) -> ImagesView:
        """The images of a data set; looked up once.

        Raises:
            InputError: they cannot be used.
        """
        if opened.id not in self._views:
            path = opened.path
            scan = scan_csv(path, None) if path.is_file() else scan_folder(path)
            if scan.kind != "label":
                raise InputError(f"'{opened.name}' has not one label for each image; train on it by the command line")
            self._views[opened.id] = ImagesView(scan, list(_classes(scan)), dict(_parts(scan.samples)))
        return self._views[opened.id]


def thumbnail(sample: ImageSample) -> bytes:
    """A small JPEG of an image, drawn anew from its pixels.

    Raises:
        UnreadableImage: it cannot be read.
    """
    from PIL import Image

    from rushlight.app.studio.answers import jpeg

    return jpeg(Image.fromarray(decode_image(sample.path, THUMBNAIL, "crop")))


def text_view(opened: Opened) -> dict[str, Any]:
    """What a page shows of a text.

    Raises:
        InputError: there is no text.
    """
    paths = text_paths(opened.path)
    size = sum(path.stat().st_size for path in paths)
    with paths[0].open("rb") as file:
        beginning = file.read(4 * CHARACTERS_SHOWN)
    text = beginning.decode("utf-8", "replace")
    odd = text.rstrip("\ufffd").count("\ufffd")  # a character may have been cut at the end
    return {"files": len(paths), "bytes": size, "beginning": text[:CHARACTERS_SHOWN], "odd": odd}


def _classes(scan: Scan) -> Iterable[tuple[str, int, list[int]]]:
    for number, name in enumerate(scan.classes):
        own = [place for place, sample in enumerate(scan.samples) if sample.label == number]
        step = max(1, len(own) // SHOWN_OF_EACH_CLASS)
        yield name, len(own), own[::step][:SHOWN_OF_EACH_CLASS]


def _parts(samples: Iterable[ImageSample]) -> Counter[str]:
    return Counter(sample.part for sample in samples)


def _beside(path: Path) -> list[str]:
    try:
        return [str(entry) for entry in path.parent.iterdir()]
    except OSError:
        return []
