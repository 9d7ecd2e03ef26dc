"""What all pages of the studio share: the runs, the opened data, the work that goes on, and how a page is drawn."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse

from rushlight.app.studio.checks import Checks
from rushlight.app.studio.datasets import Opened, OpenedData
from rushlight.app.studio.guard import body_of
from rushlight.app.studio.library import Library, Run
from rushlight.app.studio.trainings import Trainings
from rushlight.app.studio.worker import Worker


class Shared:
    """The state of a studio, which is only what the files do not say.

    Args:
        named: run folders outside `runs/` that are shown too.

    Attributes:
        starting: held while something is started or decided, so that two visitors cannot do it at once.
    """

    def __init__(self, named: list[Path]) -> None:
        self.library = Library(named)
        self.data = OpenedData()
        self.trainings = Trainings()
        self.checks = Checks()
        self.worker = Worker()
        self.starting = asyncio.Lock()
        self._templates = Environment(
            loader=PackageLoader("rushlight.app.studio"),
            autoescape=select_autoescape(default=True),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )

    def runs(self) -> list[Run]:
        """All runs, the newest first; those whose process has ended are known to have."""
        self.trainings.reap()
        return self.library.runs()

    def running(self) -> dict[str, Any] | None:
        """The summary of a run that is being trained; None if there is none."""
        return next((run.summary() for run in self.runs() if run.state() in ("training", "ending")), None)

    def run_of(self, request: Request, kind: str | None = None) -> Run:
        """The run in the address of a request.

        Args:
            request: with an `id` in its address.
            kind: what its model must be for; None where no model is needed.

        Raises:
            HTTPException: there is no such run (404), or it has no model yet (409).
        """
        run = self.library.find(request.path_params["id"])
        if run is None or (kind is not None and run.kind != kind):
            raise HTTPException(404, "There is no such run.")
        if kind is not None and not run.model.is_file():
            raise HTTPException(409, "This run has no model yet.")
        return run

    def opened_of(self, request: Request) -> Opened:
        """The data in the address of a request.

        Raises:
            HTTPException: there is no such data (404).
        """
        opened = self.data.find(request.path_params["id"])
        if opened is None:
            raise HTTPException(404, "There is no such data.")
        return opened

    def page(self, template: str, status: int = 200, **values: Any) -> HTMLResponse:
        """A page drawn from a template; each value that the template names must be given."""
        return HTMLResponse(self._templates.get_template(template).render(**values), status)


async def form_of(request: Request) -> dict[str, str]:
    """The fields of a form that was sent; of a name that stands there twice, the last."""
    fields = parse_qs((await body_of(request)).decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=200)
    return {name: values[-1] for name, values in fields.items()}
