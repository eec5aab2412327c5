"""What an authenticator app does: the code of a secret now (RFC 6238, SHA-1, 6 digits)."""

import base64
import hashlib
import hmac
import struct
import time


def code_of(secret: str, at: float | None = None) -> str:
    if at is None:
        left = 30 - time.time() % 30
        if left < 3:  # the code must still be good when it is sent
            time.sleep(left)
        at = time.time()
    counter = int(at) // 30
    digest = hmac.new(base64.b32decode(secret), struct.pack(">Q", counter), hashlib.sha1).digest()
    offset = digest[-1] & 15
    number = struct.unpack(">I", digest[offset : offset + 4])[0] & 0x7FFFFFFF
    return f"{number % 10**6:06}"
