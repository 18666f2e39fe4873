"""No request has a larger body read than any may have, whoever sends it and whatever it says of its length."""

from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class BodyLimit:
    """ASGI middleware. Whoever reads too much gets an HTTPException 413, which is answered like every other.

    Not Starlette's own: that answers by itself, with text, where a problem document was promised.
    """

    def __init__(self, app: ASGIApp, *, largest_bytes: int) -> None:
        self._app = app
        self._largest_bytes = largest_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        taken = 0

        async def receive_some() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > self._largest_bytes:
                raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
            return message

        await self._app(scope, receive_some, send)
