"""What every answer tells a browser, whoever made it."""

from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

#: Of an answer that says nothing else. Browsers overlook the first over plain HTTP.
ALWAYS: Final = {
    "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
    "X-Content-Type-Options": "nosniff",
    # What one person saw is not for the next at the same machine.
    "Cache-Control": "no-store",
}
_RAW: Final = [(name.lower().encode(), value.encode()) for name, value in ALWAYS.items()]


class SafeHeaders:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                said = {name for name, _ in message["headers"]}
                message["headers"] = [*message["headers"], *(pair for pair in _RAW if pair[0] not in said)]
            await send(message)

        await self._app(scope, receive, send_safely)
