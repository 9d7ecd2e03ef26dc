"""Serve the studio on this machine."""

from __future__ import annotations

import ipaddress
import socket
import webbrowser
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from rushlight.runtime.errors import InputError
from rushlight.runtime.run_folder import RunFolder
from rushlight.runtime.terminal import note

PACKAGES = ("starlette", "uvicorn")


def require_packages() -> None:
    """Refuse where a package of the extra `studio` is missing.

    Raises:
        InputError: with the command that installs them.
    """
    missing = [package for package in PACKAGES if find_spec(package) is None]
    if missing:
        raise InputError(f"the studio needs the package {missing[0]}: pip install 'rushlight[studio]'")


def serve(run: Path | None, host: str, port: int, open_browser: bool) -> None:
    """Serve until Ctrl-C; trainings go on.

    Args:
        run: a run folder or model file to begin with.
        host: the address to listen on.
        port: the port, or 0 for any free one.
        open_browser: show the first page in the person's browser.

    Raises:
        InputError: a package is missing, there is no such run, or the address cannot be used.
    """
    require_packages()
    import uvicorn

    from rushlight.app.studio.guard import Guard
    from rushlight.app.studio.library import id_of
    from rushlight.app.studio.site import Site

    folder = None if run is None else RunFolder.find(run).parent
    listening = _listen(host, port)
    port = listening.getsockname()[1]
    site = Site([] if folder is None else [folder])
    guarded = Guard(site.application(), hosts_of(host, port))
    address = f"http://{_in_address(host)}:{port}/" + ("" if folder is None else f"runs/{id_of(folder)}")
    print(f"The studio: {address}", flush=True)
    note("Ctrl-C ends it; a training that it started goes on.")
    if not _is_loopback(host):
        note(f"Whoever reaches {host} can use it: start trainings and look at your data.")
    if open_browser:
        webbrowser.open(address)
    server = uvicorn.Server(
        uvicorn.Config(
            guarded,
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=2,
        )
    )
    server.run(sockets=[listening])


def hosts_of(host: str, port: int) -> set[str]:
    """The names, each with its port, by which a browser on this machine may ask for the studio."""
    names = {host, *(("localhost", "127.0.0.1", "::1") if _is_loopback(host) or _is_everywhere(host) else ())}
    if _is_everywhere(host):
        names |= {socket.gethostname(), *_own_addresses()}
    return {f"{_in_address(name).lower()}:{port}" for name in names}


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen(128)  # now: whoever comes before the server is ready waits for it
    except (OSError, OverflowError) as error:
        listening.close()
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"cannot listen on {host}, port {port}: {reason}; choose another --port") from error
    return listening


def _own_addresses() -> set[str]:
    try:
        found: list[Any] = socket.getaddrinfo(socket.gethostname(), None)
    except OSError:
        return set()
    return {str(entry[4][0]) for entry in found}


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _is_everywhere(host: str) -> bool:
    return host in ("0.0.0.0", "::")


def _in_address(host: str) -> str:
    return f"[{host}]" if ":" in host else host
