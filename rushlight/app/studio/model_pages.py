"""What a page asks a model: an answer about a picture, the reason for it, a text; and how many visitors come first."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from rushlight.app.studio.answers import PictureTooLarge, answer, explanation
from rushlight.app.studio.guard import body_of
from rushlight.app.studio.shared import Shared
from rushlight.app.studio.writing import Wish, written
from rushlight.data.decode import UnreadableImage

TICKET = "x-ticket"  # a header: a word that the page made up, by which it asks for its place in the line
LONGEST_TICKET = 64


class ModelPages:
    """What is asked of models.

    Args:
        shared: the state of the studio.
    """

    def __init__(self, shared: Shared) -> None:
        self._shared = shared

    def routes(self) -> list[Route]:
        """The addresses."""
        return [
            Route("/runs/{id}/answer", self.answer, methods=["POST"]),
            Route("/runs/{id}/explanation", self.explanation, methods=["POST"]),
            Route("/runs/{id}/writing", self.writing, methods=["POST"]),
            Route("/line/{ticket}", self.line, methods=["GET"]),
        ]

    async def line(self, request: Request) -> Response:
        """How many visitors are answered before the one with this ticket; null where it does not wait."""
        return JSONResponse({"before": self._shared.worker.before(request.path_params["ticket"])})

    async def answer(self, request: Request) -> Response:
        """What a classifier says of an uploaded picture."""
        from rushlight.inference.predictor import Predictor

        run = self._shared.run_of(request, "images")

        def load() -> Predictor:
            return Predictor.load(run.model, device="cpu")

        def work(data: bytes) -> dict[str, Any]:
            return answer(self._shared.worker.loaded("predictor", run.model, load), data)

        return await self._about_picture(request, work)

    async def explanation(self, request: Request) -> Response:
        """Why a classifier says so, and what it says of a closer look."""
        from rushlight.inference.explain import Explainer
        from rushlight.inference.predictor import Predictor

        run = self._shared.run_of(request, "images")

        def load() -> Explainer:
            return Explainer(Predictor.load(run.model, device="cpu"))

        def work(data: bytes) -> dict[str, Any]:
            return explanation(self._shared.worker.loaded("explainer", run.model, load), data)

        return await self._about_picture(request, work)

    async def _about_picture(self, request: Request, work: Callable[[bytes], dict[str, Any]]) -> Response:
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if not kind.startswith("image/") or "svg" in kind or "xml" in kind:
            raise HTTPException(415, "Send a picture: JPEG, PNG, WEBP, BMP, TIFF or GIF.")
        data = await body_of(request)
        try:
            return JSONResponse(await self._shared.worker.do(partial(work, data), _ticket(request)))
        except PictureTooLarge:
            raise HTTPException(413, "The picture has too many pixels.") from None
        except UnreadableImage as error:
            raise HTTPException(415, f"This cannot be read: {error.reason}.") from None

    async def writing(self, request: Request) -> Response:
        """What a language model writes, as it comes."""
        run = self._shared.run_of(request, "text")
        wish = Wish.from_json(await body_of(request))
        lines = written(self._shared.worker, run.model, wish, _ticket(request))
        first = await anext(lines)  # a model file that is refused is an answer of its own, not a broken stream

        async def all_lines() -> AsyncIterator[bytes]:
            yield first
            async for line in lines:
                if await request.is_disconnected():
                    return
                yield line

        return StreamingResponse(all_lines(), media_type="application/x-ndjson")


def _ticket(request: Request) -> str:
    return request.headers.get(TICKET, "")[:LONGEST_TICKET]
