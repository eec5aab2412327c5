"""When two prompts are the same request. Pure."""

import hashlib

KEY_LENGTH = 32


def key(prompt: str | None) -> str | None:
    """The same for prompts that differ in case and white space alone; None for none at all."""
    words = " ".join((prompt or "").casefold().split())
    if not words:
        return None
    octets = words.encode("utf-8", "surrogatepass")
    return hashlib.blake2b(octets, digest_size=KEY_LENGTH // 2).hexdigest()
