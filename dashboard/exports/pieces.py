"""Parts of a file that is being made."""

from typing import NamedTuple


class Piece(NamedTuple):
    """`rows`: how many rows of the table are in it."""

    octets: bytes
    rows: int
