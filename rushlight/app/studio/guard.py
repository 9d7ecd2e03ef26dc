"""What may come in, and what goes out with every answer.

The studio has no accounts: whoever reaches its port may use it. So it listens on the loopback address only, answers to
its own names alone (against addresses that are made to point here), refuses what other sites send, takes no more than
a page needs, and tells the browser to ask nobody else for anything.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LARGEST_IMAGE = 20_000_000  # bytes of one upload
LARGEST_FORM = 64_000  # bytes of everything else that is sent
SECONDS_TO_SEND = 60.0

IMAGE_ENDINGS = ("/answer", "/explanation")  # the only addresses that take an image

_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


class Guard:
    """ASGI middleware around the whole site.

    Args:
        app: the site.
        hosts: the names by which it may be asked for, each with its port.
    """

    def __init__(self, app: ASGIApp, hosts: Collection[str]) -> None:
        self.app = app
        self.hosts = frozenset(hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        limit = LARGEST_IMAGE if scope["path"].endswith(IMAGE_ENDINGS) else LARGEST_FORM
        refusal = self._refusal(scope["method"], headers, limit)

        async def guarded_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    given.setdefault(name, value)
                if message["status"] >= 400:  # the rest of what is sent is not read
                    given["connection"] = "close"
            await send(message)

        taken = 0

        async def bounded_receive() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > limit:
                raise HTTPException(413, _too_large(limit))
            return message

        if refusal is None:
            await self.app(scope, bounded_receive, guarded_send)
        else:
            await PlainTextResponse(refusal[1], refusal[0])(scope, receive, guarded_send)

    def _refusal(self, method: str, headers: Headers, limit: int) -> tuple[int, str] | None:
        host, origin = headers.get("host", ""), headers.get("origin")
        if host.lower() not in self.hosts:
            return 421, "This address does not belong to the studio."
        if origin is not None and origin.lower().partition("://")[2] not in self.hosts:
            return 403, "Another site may not send anything to the studio."
        from_elsewhere = headers.get("sec-fetch-site", "none") not in ("none", "same-origin")
        if from_elsewhere and (method not in ("GET", "HEAD") or headers.get("sec-fetch-mode") != "navigate"):
            return 403, "Another site may not use the studio."
        length = headers.get("content-length", "0")
        if not length.isdecimal():
            return 400, "The length makes no sense."
        return (413, _too_large(limit)) if int(length) > limit else None


def _too_large(limit: int) -> str:
    return f"Too large: at most {limit / 1e6:g} MB are taken."


async def body_of(request: Request) -> bytes:
    """What was sent, if it comes within a minute.

    Raises:
        TimeoutError: it did not.
    """
    async with asyncio.timeout(SECONDS_TO_SEND):
        return await request.body()
