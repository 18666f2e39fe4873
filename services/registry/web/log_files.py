"""The log for everybody: checkpoint, tiles and entries (C2SP tlog-tiles), without signing in. They hold hashes only."""

from typing import Annotated, Final

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse
from starlette.responses import PlainTextResponse, Response

from chassis.service import Runtime
from chassis.web.problems import Problem, documented
from services.registry.log import proving, store
from transparency.errors import DoesNotVerify
from transparency.signatures import VerifierKey
from transparency.strict import LARGEST
from transparency.tiles import Tile, format_bundle, tile_at

#: A tile of one width never changes.
FOR_EVER: Final = {"Cache-Control": "public, max-age=31536000, immutable"}
FRESH: Final = {"Cache-Control": "no-cache"}


def make_router(runtime: Runtime, key: VerifierKey) -> APIRouter:
    router = APIRouter(prefix="/log", tags=["log"])

    @router.get(
        "/checkpoint",
        summary="The newest checkpoint, with the cosignatures that it has",
        response_class=PlainTextResponse,
        responses=documented(404),
    )
    async def checkpoint() -> Response:
        async with runtime.transaction() as tx:
            signed = await proving.newest(tx)
        if signed is None:
            raise _not_there()
        return PlainTextResponse(signed.note, headers=FRESH)

    @router.get("/key", summary="The key that verifies checkpoints", response_class=PlainTextResponse)
    async def verifier_key() -> Response:
        return PlainTextResponse(f"{key}\n", headers=FRESH)

    @router.get(
        "/tile/{path:path}",
        summary="A tile of hashes (`<L>/<N>[.p/<W>]`) or a bundle of entries (`entries/<N>[.p/<W>]`)",
        response_class=Response,
        responses=documented(404),
    )
    async def tile(path: str) -> Response:
        async with runtime.transaction(of_one_moment=True) as tx:
            signed = await proving.newest(tx)
            try:
                wanted = Tile.parse(f"tile/{path}")
                # What nobody signed yet is not shown, so that it need not stand for ever.
                there = tile_at(wanted.level, wanted.index, signed.size if signed is not None else 0)
            except DoesNotVerify:
                raise _not_there() from None
            if wanted.width > there.width:
                raise _not_there()
            if wanted.level is None:
                body = format_bundle(await store.commitments(tx, wanted))
            else:
                (body,) = await store.tiles(tx, [wanted])
        return Response(body, media_type="application/octet-stream", headers=FOR_EVER)

    @router.get(
        "/consistency",
        summary="That the log of `to` leaves begins with that of `from` (RFC 6962 §2.1.2), hashes in hexadecimal",
        response_model=list[str],
        responses=documented(404, 422),
    )
    async def consistency(
        old: Annotated[int, Query(alias="from", ge=0, le=LARGEST)],
        new: Annotated[int, Query(alias="to", ge=0, le=LARGEST)],
    ) -> JSONResponse:
        async with runtime.transaction(of_one_moment=True) as tx:
            signed = await proving.newest(tx)
            if signed is None or not old <= new <= signed.size:
                raise _not_there()
            proof = await proving.consistency(tx, old, new)
        return JSONResponse([one.hex() for one in proof], headers=FOR_EVER)

    return router


def _not_there() -> Problem:
    return Problem(404, "not-found", "The log has nothing there.")
