"""Identities: sortable by creation time, and not guessable."""

import secrets
import time


def new_id(prefix: str) -> str:
    """A new identity: the prefix, 13 hexadecimal digits of microseconds and 72 random bits.

    Identities made one after another, each stored before the next is made, sort in that order.

    >>> identity = new_id("job")
    >>> identity[:4], len(identity)
    ('job_', 35)
    """
    return f"{prefix}_{time.time_ns() // 1_000:013x}{secrets.token_hex(9)}"
