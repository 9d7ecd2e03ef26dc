"""`rushlight data list` and `rushlight data get`."""

from dataclasses import asdict
from typing import Annotated

import typer

from rushlight.app import options
from rushlight.app.printing import print_json


def list_data(as_json: options.Json = False) -> None:
    """List the data sets that are known by name.

    A name can stand wherever a folder of images can.

    \b
    Example:
      rushlight data list
    """
    from rushlight.data.catalog import DATASETS
    from rushlight.runtime.files import human_bytes

    if as_json:
        rows = [{"name": name} | asdict(dataset) for name, dataset in DATASETS.items()]
        print_json({"datasets": rows})
        return
    width = max(map(len, DATASETS))
    for name, dataset in DATASETS.items():
        size = "comes along" if dataset.size is None else human_bytes(dataset.size)
        print(f"{name:<{width}}  {dataset.kind:<6}  {size:>11}  {dataset.description}")


def get_data(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A name that 'data list' shows.", show_default=False)],
    as_json: options.Json = False,
) -> None:
    """Fetch a data set, once, and print where it is.

    It is looked for in the folder that RUSHLIGHT_DATA names, then downloaded, checked and unpacked into the
    cache. With RUSHLIGHT_OFFLINE=1 nothing is ever downloaded.

    \b
    Example:
      rushlight data get cifar10
    """
    from rushlight.data import catalog

    path = catalog.get(name)
    if as_json:
        print_json({"name": name, "path": path})
    else:
        print(path)
