"""How kept bodies are compressed: Zstandard, several times faster than zlib and smaller.

What was kept by an earlier version is zlib's, and is read as such.
"""

import sys
import zlib
from concurrent.futures import Future, ThreadPoolExecutor

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

LEVEL = 1
_WORTH_A_THREAD = 2**18  # bytes
_MAGIC = b"\x28\xb5\x2f\xfd"


def pack(body: bytes) -> bytes:
    return zstd.compress(body, LEVEL)


def packing(body: bytes) -> Future[bytes]:
    """`pack` beside whoever asks for it, where there is enough to pack."""
    if len(body) < _WORTH_A_THREAD:
        future: Future[bytes] = Future()
        future.set_result(pack(body))
        return future
    # The compressor lets go of the interpreter's lock. A thread for each: they are few and far
    # between, and none is left idle.
    beside = ThreadPoolExecutor(1, thread_name_prefix="packing")
    future = beside.submit(pack, body)
    beside.shutdown(wait=False)
    return future


def unpack(packed: bytes | memoryview) -> bytes:
    packed = bytes(packed)
    return zstd.decompress(packed) if packed.startswith(_MAGIC) else zlib.decompress(packed)


def beginning(packed: bytes | memoryview, length: int) -> bytes:
    """The first `length` bytes of what was packed; no more is decompressed."""
    packed = bytes(packed)
    if packed.startswith(_MAGIC):
        return zstd.ZstdDecompressor().decompress(packed, length)
    return zlib.decompressobj().decompress(packed, length)
