"""The answers that carry files: streams, part by part, each part made in a thread."""

import logging
from collections.abc import AsyncIterator, Iterator

from asgiref.sync import sync_to_async
from django.db import close_old_connections, connection
from django.http import StreamingHttpResponse

from dashboard import downloads
from dashboard.exports.pieces import Piece
from dashboard.exports.progress import Progress

logger = logging.getLogger(__name__)


def stream(
    pieces: Iterator[Piece],
    filename: str,
    content_type: str,
    progress: Progress,
    asked: str = "",
) -> StreamingHttpResponse:
    """`asked`: the filters that hold, for the audit log."""
    progress.tell("making")
    response = StreamingHttpResponse(_sent(pieces, progress), content_type=content_type)
    downloads.seal(response, filename)
    response.is_export = True  # type: ignore[attr-defined]
    response.audited_as = asked  # type: ignore[attr-defined]
    return response


def page(pieces: Iterator[Piece]) -> StreamingHttpResponse:
    """A page for people that is as long as it is, of which nobody is told how far it is."""
    untold = Progress(0, "", "", None)
    return StreamingHttpResponse(_sent(pieces, untold), content_type="text/html; charset=utf-8")


async def _sent(pieces: Iterator[Piece], progress: Progress) -> AsyncIterator[bytes]:
    """An error breaks the answer off: the browser must not take a part for the whole."""
    following = sync_to_async(_following)
    while (piece := await following(pieces, progress)) is not None:
        if piece.octets:
            yield piece.octets


def _following(pieces: Iterator[Piece], progress: Progress) -> Piece | None:
    try:
        piece = next(pieces, None)
    except Exception:
        progress.tell("failed")
        logger.exception("a file broke off after %s rows", progress.rows)
        raise
    finally:
        if not connection.in_atomic_block:  # a transaction around the whole request owns it
            close_old_connections()
    if piece is None:
        progress.tell("done")
    else:
        progress.add(piece.rows, len(piece.octets))
    return piece
