"""Pages about runs: the list of them, how one trains and what came of it, its report, and several side by side."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from functools import partial

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from rushlight.app.live import ask_to_stop
from rushlight.app.studio.compare import groups_of
from rushlight.app.studio.samples import samples_of
from rushlight.app.studio.shared import Shared
from rushlight.app.studio.trainings import start_facts
from rushlight.runtime.errors import RushlightError

SECONDS_BETWEEN_EVENTS = 1.0
_REPORT_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; frame-ancestors 'none'; sandbox"


class RunPages:
    """What is asked for about runs.

    Args:
        shared: the state of the studio.
    """

    def __init__(self, shared: Shared) -> None:
        self._shared = shared

    def routes(self) -> list[Route]:
        """The addresses."""
        return [
            Route("/", self.home, methods=["GET"]),
            Route("/compare", self.compare, methods=["GET"]),
            Route("/runs/{id}", self.show, methods=["GET"]),
            Route("/runs/{id}/live", self.live, methods=["GET"]),
            Route("/runs/{id}/events", self.events, methods=["GET"]),
            Route("/runs/{id}/samples", self.samples, methods=["GET"]),
            Route("/runs/{id}/report", self.report, methods=["GET"]),
            Route("/runs/{id}/pictures/{name}", self.picture, methods=["GET"]),
            Route("/runs/{id}/stop", self.stop, methods=["POST"]),
        ]

    async def home(self, request: Request) -> Response:
        """The runs, the newest first."""
        return self._shared.page("home.html", runs=[run.summary() for run in self._shared.runs()])

    async def compare(self, request: Request) -> Response:
        """Finished runs with their intervals."""
        return self._shared.page("compare.html", groups=groups_of(self._shared.library.runs()))

    async def show(self, request: Request) -> Response:
        """A run: how its training goes, what came out, and a place to try it."""
        run = self._shared.run_of(request)
        return self._shared.page(
            "run.html",
            run=run.summary(),
            facts=run.facts(),
            start=start_facts(run.path),
            watched=run.live(),
            pictures=run.pictures(),
            has_report=(run.path / "report.html").is_file(),
            has_model=run.model.is_file(),
        )

    async def report(self, request: Request) -> Response:
        """The report of a run, which may do nothing but be looked at."""
        path = self._shared.run_of(request).path / "report.html"
        if not path.is_file():
            raise HTTPException(404, "This run has no report yet.")
        return FileResponse(path, media_type="text/html", headers={"content-security-policy": _REPORT_POLICY})

    async def picture(self, request: Request) -> Response:
        """A picture that training drew."""
        run, name = self._shared.run_of(request), request.path_params["name"]
        if name not in run.pictures():
            raise HTTPException(404, "There is no such picture.")
        return FileResponse(run.path / name, media_type="image/png")

    # --- while it trains ---------------------------------------------------------------------------------------------

    async def stop(self, request: Request) -> Response:
        """Ask a training to anneal, save and end."""
        run = self._shared.run_of(request)
        if run.state() in ("training", "ending"):
            ask_to_stop(run.path)
        return RedirectResponse(f"/runs/{run.id}", 303)

    async def live(self, request: Request) -> Response:
        """How the training goes, once."""
        self._shared.trainings.reap()
        return JSONResponse(self._shared.run_of(request).live())

    async def events(self, request: Request) -> Response:
        """How the training goes, whenever something has changed, until it is over."""
        run = self._shared.run_of(request)

        async def told() -> AsyncIterator[str]:
            before = ""
            while not await request.is_disconnected():
                self._shared.trainings.reap()
                watched = await asyncio.to_thread(run.live)
                now = json.dumps(watched)
                yield f"data: {now}\n\n" if now != before else ": still here\n\n"
                before = now
                if watched["state"] in ("finished", "failed"):
                    return
                await asyncio.sleep(SECONDS_BETWEEN_EVENTS)

        return StreamingResponse(told(), media_type="text/event-stream")

    async def samples(self, request: Request) -> Response:
        """What the model can do as it was last saved."""
        run = self._shared.run_of(request)
        if not run.model.is_file():
            return JSONResponse({})
        try:
            return JSONResponse(await self._shared.worker.do(partial(samples_of, run, self._shared.worker)))
        except (RushlightError, OSError):  # the training is just replacing the model, or its data has gone
            return JSONResponse({})
