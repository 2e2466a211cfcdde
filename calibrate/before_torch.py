"""What a process of one's own settles before it imports torch: how threads wait, and how rarely garbage is collected.

OpenMP's threads, which torch computes with on a CPU, meet many times in each operation. With the default of GNU's
OpenMP, one that waits spins for milliseconds; where other processes want the cores too, that is time which the thread
waited for does not get. Measured on two cores, ResNet-20, 64 images of 32 × 32, milliseconds an image:

    spinning                    by default   briefly   not at all
    alone                              .48       .48          .60
    beside two busy processes           21       4.3          1.6
"""

import gc
import os

#: Rounds of a loop; the default is 300,000 where there are no more threads than cores.
SPINS = "10000"
#: What the user may have set, and then stands.
OF_THE_USER = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")

#: Python's own thresholds of garbage collection, and those of a process that imports.
USUAL, RARE = gc.get_threshold(), (100_000, 50, 100)


def spin_briefly() -> None:
    """Let threads of this process that wait for each other go to sleep soon, unless the environment says how long.

    Limits: it counts only before torch is imported. Other OpenMPs than GNU's, such as that of macOS, do not look at it.

    >>> spin_briefly()
    >>> any(name in os.environ for name in OF_THE_USER)
    True
    """
    if not any(name in os.environ for name in OF_THE_USER):
        os.environ["GOMP_SPINCOUNT"] = SPINS


def collect_rarely() -> None:
    """Let Python look for garbage less often, until :func:`collect_as_usual`: importing makes none.

    Of the 1.9 seconds that a command takes to import torch and all else, it is 0.3.
    """
    gc.set_threshold(*RARE)


def collect_as_usual() -> None:
    """End :func:`collect_rarely`: as often as by default. Without it, nothing is changed."""
    if gc.get_threshold() == RARE:
        gc.set_threshold(*USUAL)
