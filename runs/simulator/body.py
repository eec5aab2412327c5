"""Answers that stay cheap while a run grows to tens of megabytes.

A running run is asked for once a second, and all but its last steps are the same as before.
So finished steps are encoded once, kept in blocks, and each block is deflated once: raw deflate
that ends in a full flush refers to nothing before it, so blocks can be glued to one stream.
"""

import struct
import zlib

BLOCK_BYTES = 256 * 1024
GZIP_LEVEL = 1  # the stand-in shares its CPU with whatever is being measured
GZIP_FROM_BYTES = 1024
_GZIP_HEAD = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x04\xff"
_DEFLATE_END = b"\x03\x00"  # an empty last block


def _deflated(raw: bytes) -> bytes:
    squeeze = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    return squeeze.compress(raw) + squeeze.flush(zlib.Z_FULL_FLUSH)


class Block:
    """A stretch of a body that will not change any more."""

    __slots__ = ("_deflated", "raw")

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self._deflated: bytes | None = None

    def deflated(self) -> bytes:
        if self._deflated is None:
            self._deflated = _deflated(self.raw)
        return self._deflated


class FragmentLog:
    """Encoded JSON values in order, joined by commas, of which only the end still grows."""

    def __init__(self) -> None:
        self.count = 0
        self._blocks: list[Block] = []
        self._tail = bytearray()

    def append(self, fragment: bytes) -> None:
        if self.count:
            self._tail += b","
        self._tail += fragment
        self.count += 1
        if len(self._tail) >= BLOCK_BYTES:
            self._blocks.append(Block(bytes(self._tail)))
            self._tail = bytearray()

    def parts(self, unfinished: list[bytes]) -> list[Block]:
        """The blocks so far, then the tail with the still changing fragments after it."""
        end = bytearray(self._tail)
        for number, fragment in enumerate(unfinished):
            if self.count or number:
                end += b","
            end += fragment
        return [*self._blocks, Block(bytes(end))]


class Body:
    """One JSON answer, plain and gzipped; both are made at most once."""

    def __init__(self, parts: list[Block]) -> None:
        self._parts = parts
        self._plain: bytes | None = None
        self._gzipped: bytes | None = None

    def __len__(self) -> int:
        return sum(len(part.raw) for part in self._parts)

    def plain(self) -> bytes:
        if self._plain is None:
            self._plain = b"".join(part.raw for part in self._parts)
        return self._plain

    def gzipped(self) -> bytes:
        if self._gzipped is None:
            check = 0
            stream = [_GZIP_HEAD]
            for part in self._parts:
                check = zlib.crc32(part.raw, check)
                stream.append(part.deflated())
            trailer = struct.pack("<II", check, len(self) & 0xFFFFFFFF)
            self._gzipped = b"".join([*stream, _DEFLATE_END, trailer])
        return self._gzipped
