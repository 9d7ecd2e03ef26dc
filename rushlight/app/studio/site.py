"""The site: all addresses, style and script, and what is told when something goes wrong."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from rushlight.app.studio.data_pages import DataPages
from rushlight.app.studio.model_pages import ModelPages
from rushlight.app.studio.run_pages import RunPages
from rushlight.app.studio.shared import Shared
from rushlight.app.studio.worker import LineTooLong
from rushlight.runtime.errors import RushlightError

_STATIC = {"studio.css": "text/css", "studio.js": "text/javascript"}


class Site:
    """Everything behind the pages.

    Args:
        named: run folders outside `runs/` that are shown too.
    """

    def __init__(self, named: list[Path]) -> None:
        self._shared = Shared(named)

    def application(self) -> Starlette:
        """The site as an ASGI application."""

        @asynccontextmanager
        async def lifespan(_: Starlette) -> AsyncIterator[None]:
            yield
            self._shared.worker.close()

        pages = (RunPages(self._shared), DataPages(self._shared), ModelPages(self._shared))
        return Starlette(
            routes=[
                *(route for part in pages for route in part.routes()),
                Route("/static/{name}", static, methods=["GET"]),
            ],
            exception_handlers={
                HTTPException: self._on_http_error,
                RushlightError: self._on_our_error,
                LineTooLong: self._on_long_line,
                TimeoutError: self._on_slow_sender,
            },
            lifespan=lifespan,
        )

    async def _on_http_error(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return self._told(request, error.status_code, error.detail)

    async def _on_our_error(self, request: Request, error: Exception) -> Response:
        return self._told(request, 400, str(error))

    async def _on_long_line(self, request: Request, error: Exception) -> Response:
        response = self._told(request, 503, "Too many are waiting. Try again in a moment.")
        response.headers["retry-after"] = "5"
        return response

    async def _on_slow_sender(self, request: Request, error: Exception) -> Response:
        return self._told(request, 408, "It took too long to arrive.")

    def _told(self, request: Request, status: int, message: str) -> Response:
        """An error in the form that fits who asked: a page for a person, JSON for a script."""
        if "text/html" in request.headers.get("accept", ""):
            return self._shared.page("error.html", status, number=status, message=message)
        return JSONResponse({"error": message}, status)


async def static(request: Request) -> Response:
    """Style and script of the pages."""
    name = request.path_params["name"]
    if name not in _STATIC:
        raise HTTPException(404, "There is no such file.")
    return FileResponse(Path(__file__).parent / "static" / name, media_type=_STATIC[name])
