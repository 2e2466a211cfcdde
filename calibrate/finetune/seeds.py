"""Seeds: from the plain numbers 1, 2, 3, … to complex ones."""

import hashlib


def md5_seed(number: int) -> int:
    """The last eight hexadecimal digits of the MD5 of ``number`` in decimal: a seed below 2³².

    Generators that start from 1, 2 and 3 may start alike; from seeds whose bits are mixed they do not.

    Reference: Davis & Frank, Revisiting Batch Normalization, §4 (seeds 1 to 15).

    >>> md5_seed(1), md5_seed(2)
    (1869972635, 3423897132)
    """
    return int(hashlib.md5(str(number).encode(), usedforsecurity=False).hexdigest()[-8:], 16)
