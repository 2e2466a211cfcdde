"""Identities: sortable by the time they were made, not guessable."""

import secrets
import time


def new_id(prefix: str) -> str:
    """A new identity: the prefix, 11 hexadecimal digits of milliseconds and 80 random bits.

    >>> identity = new_id("job")
    >>> identity[:4], len(identity)
    ('job_', 35)
    """
    return f"{prefix}_{time.time_ns() // 1_000_000:011x}{secrets.token_hex(10)}"
