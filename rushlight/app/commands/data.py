"""`rushlight data list`, `rushlight data get` and `rushlight data cache`."""

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


def cache(
    clear: Annotated[
        bool, typer.Option("--clear", help="Delete what can be computed again: decoded images, features, tokens.")
    ] = False,
    as_json: options.Json = False,
) -> None:
    """Show what the cache holds, and where; or empty it.

    What can be computed again is kept within 20 GB (or as many as the variable
    RUSHLIGHT_CACHE_LIMIT says); what was not used for longest goes first.

    \b
    Example:
      rushlight data cache
      rushlight data cache --clear
    """
    from rushlight.runtime.cache_limit import KINDS, cache_sizes, clear_computed
    from rushlight.runtime.files import human_bytes, user_cache_folder

    freed = clear_computed() if clear else None
    sizes = cache_sizes()
    if as_json:
        print_json({"folder": user_cache_folder(), "bytes": sizes} | ({} if freed is None else {"freed": freed}))
        return
    if freed is not None:
        print(f"freed {human_bytes(freed)}")
    print(user_cache_folder())
    for kind, size in sizes.items():
        print(f"{kind:<9}{human_bytes(size):>11}  {KINDS[kind]}")
