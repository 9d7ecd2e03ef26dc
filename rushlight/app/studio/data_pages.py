"""Pages about data: open it, look at it, have it checked, decide about single pictures, start a training on it."""

from __future__ import annotations

import asyncio
import secrets
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from rushlight.app.studio.checks import FIXES_A_PAGE, Check, shown_findings, shown_fixes
from rushlight.app.studio.datasets import EMBEDDED, Opened, text_view, thumbnail
from rushlight.app.studio.library import Run
from rushlight.app.studio.shared import Shared, form_of
from rushlight.app.studio.trainings import Order
from rushlight.data.decode import UnreadableImage
from rushlight.runtime.errors import InputError

LONGEST_MINUTES, MOST_EPOCHS = 24 * 60, 1000
FOLDERS_OFFERED = 200


class DataPages:
    """What is asked for about data.

    Args:
        shared: the state of the studio.
    """

    def __init__(self, shared: Shared) -> None:
        self._shared = shared

    def routes(self) -> list[Route]:
        """The addresses."""
        return [
            Route("/new", self.new, methods=["GET"]),
            Route("/data", self.open, methods=["POST"]),
            Route("/data/{id}", self.show, methods=["GET"]),
            Route("/data/{id}/pictures/{number:int}", self.picture, methods=["GET"]),
            Route("/data/{id}/train", self.train, methods=["POST"]),
            Route("/data/{id}/check", self.check, methods=["POST"]),
            Route("/data/{id}/check", self.check_state, methods=["GET"]),
            Route("/data/{id}/fixes", self.fixes, methods=["GET"]),
            Route("/data/{id}/fixes", self.decide, methods=["POST"]),
        ]

    # --- opening and looking -----------------------------------------------------------------------------------------

    async def new(self, request: Request) -> Response:
        """Where to open data."""
        return self._new_page(error="", status=200)

    async def open(self, request: Request) -> Response:
        """Open a folder or text, and go to its page."""
        form = await form_of(request)
        try:
            opened = await asyncio.to_thread(self._shared.data.open, form.get("place", ""))
        except InputError as error:
            return self._new_page(str(error), 400)
        return RedirectResponse(f"/data/{opened.id}", 303)

    async def show(self, request: Request) -> Response:
        """What is in opened data, and the form that starts a training on it."""
        return await self._data_page(self._shared.opened_of(request), error="", status=200)

    async def picture(self, request: Request) -> Response:
        """A thumbnail of one image of opened data, by its number."""
        images = await asyncio.to_thread(self._shared.data.images, self._shared.opened_of(request))
        number = request.path_params["number"]
        if number >= len(images.scan.samples):
            raise HTTPException(404, "There is no such picture.")
        try:
            picture = await asyncio.to_thread(thumbnail, images.scan.samples[number])
        except UnreadableImage as error:
            raise HTTPException(404, error.reason) from None
        return Response(picture, media_type="image/jpeg", headers={"cache-control": "private, max-age=600"})

    def _new_page(self, error: str, status: int) -> Response:
        folders = sorted(path.name for path in Path().iterdir() if path.is_dir() and not path.name.startswith("."))
        opened = self._shared.data.all()
        return self._shared.page(
            "new.html", status, opened=opened, embedded=EMBEDDED, folders=folders[:FOLDERS_OFFERED], error=error
        )

    async def _data_page(self, opened: Opened, error: str, status: int) -> Response:
        images = text = None
        if opened.kind == "images":
            images = await asyncio.to_thread(self._shared.data.images, opened)
        else:
            text = await asyncio.to_thread(text_view, opened)
        check = self._shared.checks.newest(opened)
        return self._shared.page(
            "data.html",
            status,
            data=opened,
            embedded=EMBEDDED,
            images=images,
            text=text,
            check=None if check is None else {"state": check.state(), "doing": check.doing(), **check.results()},
            findings=[] if check is None else shown_findings(check.results(), None if images is None else images.scan),
            fixes=0 if check is None else len(check.fixes()),
            token=secrets.token_hex(16),
            running=self._shared.running(),
            error=error,
        )

    # --- checking ----------------------------------------------------------------------------------------------------

    async def check(self, request: Request) -> Response:
        """Start a check of opened data."""
        opened = self._shared.opened_of(request)
        async with self._shared.starting:
            await asyncio.to_thread(self._shared.checks.start, opened)
        return RedirectResponse(f"/data/{opened.id}#check", 303)

    async def check_state(self, request: Request) -> Response:
        """How a check goes."""
        check = self._shared.checks.newest(self._shared.opened_of(request))
        if check is None:
            raise HTTPException(404, "This data has not been checked.")
        return JSONResponse({"state": check.state(), "doing": check.doing()})

    async def fixes(self, request: Request) -> Response:
        """Single images, each with what is proposed for it."""
        opened = self._shared.opened_of(request)
        page = _page_number(request.query_params.get("page", "1"))
        return await self._fixes_page(opened, page, error="", status=200)

    async def decide(self, request: Request) -> Response:
        """Keep what was decided on a page; then the next page, or the labels that come of it all."""
        opened = self._shared.opened_of(request)
        check = self._finished_check(opened)
        images = await asyncio.to_thread(self._shared.data.images, opened)
        form = await form_of(request)
        try:
            async with self._shared.starting:
                await asyncio.to_thread(check.decide, _decisions(form), images.scan.classes)
        except InputError as error:
            return await self._fixes_page(opened, _page_number(form.get("page", "1")), str(error), status=400)
        if form.get("then") != "apply":
            return RedirectResponse(f"/data/{opened.id}/fixes?page={_page_number(form.get('then', '1'))}", 303)
        labels = await asyncio.to_thread(check.apply, opened)
        changed = await asyncio.to_thread(self._shared.data.open, str(labels))
        return RedirectResponse(f"/data/{changed.id}", 303)

    async def _fixes_page(self, opened: Opened, page: int, error: str, status: int) -> Response:
        check = self._finished_check(opened)
        images = await asyncio.to_thread(self._shared.data.images, opened)
        fixes = check.fixes()
        pages = max(1, -(-len(fixes) // FIXES_A_PAGE))
        page = min(max(page, 1), pages)
        return self._shared.page(
            "fixes.html",
            status,
            data=opened,
            classes=images.scan.classes,
            fixes=shown_fixes(fixes, page - 1, images.scan),
            count=len(fixes),
            page=page,
            pages=pages,
            error=error,
        )

    def _finished_check(self, opened: Opened) -> Check:
        check = self._shared.checks.newest(opened)
        if check is None or check.state() != "finished" or opened.kind != "images":
            raise HTTPException(404, "This data has not been checked.")
        return check

    # --- training ----------------------------------------------------------------------------------------------------

    async def train(self, request: Request) -> Response:
        """Start a training; a form that is sent twice starts one, and beside another only if that is asked for."""
        opened = self._shared.opened_of(request)
        form = await form_of(request)
        try:
            order = _order(opened, form)
        except InputError as error:
            return await self._data_page(opened, str(error), 400)
        token = form.get("token", "")
        if not token:
            raise HTTPException(400, "The form lacks its token; open the page again.")
        trainings = self._shared.trainings
        async with self._shared.starting:
            running = self._shared.running()
            if running is not None and not trainings.knows(token) and form.get("beside") != "yes":
                message = f"{running['name']} is being trained. Wait for it, or tick the box to train beside it."
                return await self._data_page(opened, message, 409)
            folder = await asyncio.to_thread(trainings.start, order, token)
        return RedirectResponse(f"/runs/{Run(folder, opened.kind).id}", 303)


def _page_number(given: str) -> int:
    return int(given) if given.isdecimal() else 1


def _decisions(form: dict[str, str]) -> dict[int, tuple[str, str]]:
    """By the number of the fix: the answer, and the class that was written beside it."""
    numbers = (name.removeprefix("fix") for name in form if name.startswith("fix"))
    return {int(n): (form[f"fix{n}"], form.get(f"class{n}", "").strip()) for n in numbers if n.isdecimal()}


def _order(opened: Opened, form: dict[str, str]) -> Order:
    """The training that a form asks for.

    Raises:
        InputError: a number in it cannot be used.
    """
    length = form.get("length", "minutes")
    if length not in ("minutes", "epochs"):
        raise InputError("the length is in minutes or in epochs")
    most = LONGEST_MINUTES if length == "minutes" else MOST_EPOCHS
    try:
        amount, seed = float(form.get("amount", "5")), int(form.get("seed", "0"))
    except ValueError:
        raise InputError("how long and the seed are numbers") from None
    if not 0 < amount <= most:
        raise InputError(f"how long must be more than 0 and at most {most:,} {length}")
    if not 0 <= seed < 2**31:
        raise InputError("the seed must be a whole number from 0 up")
    return Order(opened.kind, opened.place, opened.name, f"--{length}", amount, seed)
