"""The process that runs networks: its threads, and the memory that it frees."""

import ctypes
import sys
import warnings

import torch

from calibrate.before_torch import collect_as_usual

#: glibc's numbers for some of its settings (malloc.h).
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8
#: The free bytes that a process keeps; and the size from which on a tensor is given back alone, and leaves no hole.
KEPT, ALONE = 2**31 - 1, 2**25


def set_up_process(threads: int | None = None) -> None:
    """Let this process run networks on so many ``threads``, torch's own choice where None, and keep memory it frees.

    glibc gives much of what was freed back to the system, which then hands out and zeroes the same pages for the next
    tensors: of the CPU time of forward passes with α on one thread 17 % (ResNet-56, 64 images of 32 × 32 pixels), 27 %
    (ResNet-20) and 29 % (EfficientNet-lite0, 16 images of 224 × 224). Here the process keeps up to 2 GiB; the peak of a
    calibration of EfficientNet-lite0 grew by 2 %, and its numbers were the same. It is for processes of one's own, as
    commands and jobs are. Threads share one arena: with one of their own, suspended batches keep holes in each
    (re-estimation of EfficientNet-lite0 on 250 images held 3.6 GB in place of 2.9).
    Pillow's warnings of large images and odd metadata are not shown: images have a limit of our own.

    Limits: the memory is kept with glibc only, so on Linux; elsewhere only the threads are set.

    >>> set_up_process(1)
    >>> torch.get_num_threads()
    1
    """
    collect_as_usual()
    warnings.filterwarnings("ignore", module=r"PIL\.")
    if threads is not None:
        torch.set_num_threads(threads)
    if sys.platform.startswith("linux") and hasattr(library := ctypes.CDLL(None), "mallopt"):
        library.mallopt(M_TRIM_THRESHOLD, KEPT)
        library.mallopt(M_MMAP_THRESHOLD, ALONE)
        library.mallopt(M_ARENA_MAX, 1)
