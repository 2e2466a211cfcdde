"""Two things that hold while a network is exported: the exporter says nothing, and autocast does nothing."""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator

import torch

#: Whose loggers are kept silent, with all below them.
TALKATIVE = ("torch", "onnx", "onnxscript", "onnx_ir")


@contextlib.contextmanager
def silenced() -> Iterator[None]:
    """Keep off the console what the exporter logs, warns of and prints, also by way of the network's own ``forward``.

    What matters is raised. Limits: it holds for the whole process; lines that other threads print are lost meanwhile.
    """
    known = [name for name in logging.root.manager.loggerDict if name.partition(".")[0] in TALKATIVE]
    loggers = [logging.getLogger(name) for name in dict.fromkeys((*TALKATIVE, *known))]
    levels = [logger.level for logger in loggers]
    with (
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        warnings.simplefilter("ignore")
        try:
            for logger in loggers:
                logger.setLevel(logging.CRITICAL + 1)
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


@contextlib.contextmanager
def watching_autocast(*, disabled: bool = False) -> Iterator[list[torch.dtype]]:
    """The precisions of every ``torch.autocast`` that is entered meanwhile; ``disabled``, it has no effect.

    A network that asks for autocast inside ``forward`` computes in bfloat16 or float16, for which ONNX Runtime lacks
    kernels. Limits: it holds for the whole process.
    """
    entered: list[torch.dtype] = []
    original = torch.autocast.__enter__

    def enter(context: torch.autocast) -> object:
        enabled = context._enabled
        if enabled:
            entered.append(context.fast_dtype)
        try:
            context._enabled = enabled and not disabled
            return original(context)  # type: ignore[no-untyped-call]
        finally:
            context._enabled = enabled

    torch.autocast.__enter__ = enter  # type: ignore[method-assign]
    try:
        yield entered
    finally:
        torch.autocast.__enter__ = original  # type: ignore[method-assign]
