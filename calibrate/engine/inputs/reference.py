"""The reference of a shift: made of data that a network is known to suit, and kept beside its file."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError
from torch import nn

from calibrate.atomic import replace_files
from calibrate.data import Source
from calibrate.diagnose import chance_bands, example_moments, reference_layers
from calibrate.engine.passes.batches import SourceBatches, drawn
from calibrate.engine.passes.prediction import input_dtype
from calibrate.engine.passes.setting import Setting
from calibrate.errors import DataError, ModelError, UsageError
from calibrate.io import fingerprint
from calibrate.result import FEWEST_EXAMPLES, Finding, ShiftReference
from calibrate.surgery import Site, copied, find_sites, keeping_statistics

#: A reference is made of at most so many examples, and of so many that their moments take this memory.
MOST_EXAMPLES, MEMORY = 1024, 128 << 20

#: The next move where there is no reference.
MAKE_ONE = "give data that you trust with --training-data, or make a reference of them with `afternorm probe --accept`"


def read_reference(path: Path) -> ShiftReference:
    """The reference in a file. Raises UsageError where there is none that can be read."""
    try:
        return ShiftReference.model_validate_json(path.read_bytes())
    except OSError as error:
        raise UsageError(f"the reference {path} cannot be read: {error.strerror}; {MAKE_ONE}.") from None
    except ValidationError:
        raise UsageError(f"{path} is not a reference, or one of another version of Afternorm; {MAKE_ONE}.") from None


def write_reference(reference: ShiftReference, path: Path) -> None:
    """Write it whole, or raise UsageError."""
    try:
        replace_files(path.parent, {path.name: reference.model_dump_json().encode()})
    except OSError as error:
        raise UsageError(
            f"the reference cannot be written to {path}: {error.strerror}; name another place with --reference."
        ) from None


def make_reference(
    model: nn.Module, source: Source, rows: NDArray[np.int64], setting: Setting, seed: int
) -> ShiftReference:
    """The reference of ``model`` on the examples ``rows`` of ``source``, or a seeded draw of those where they are many.

    Raises DataError for fewer than 16 examples, ModelError for a network whose layers keep no running statistics.
    Cost: one pass over these examples, and resampling: see :func:`~calibrate.diagnose.chance_bands`.
    """
    if len(rows) < FEWEST_EXAMPLES:
        raise DataError(
            f"{len(rows)} examples are too few to tell a shift from chance, {FEWEST_EXAMPLES} at least are needed; "
            "give more."
        )
    sites = watched_sites(model)
    channels = sum(site.channels for site in sites)
    most = max(FEWEST_EXAMPLES, min(MOST_EXAMPLES, MEMORY // (16 * channels)))
    chosen = drawn(rows, min(most, len(rows)), seed)
    placed = copied(model).to(setting.device)
    moments = example_moments(
        placed, SourceBatches(source, chosen, setting, input_dtype(placed)), watched_sites(placed)
    )
    layers = reference_layers(moments)
    if not layers:
        raise ModelError(
            "no layer that keeps running statistics gets finite inputs, one for each example, so there is nothing that "
            "could shift; see `afternorm inspect`."
        )
    kept = {layer.name: moments[layer.name] for layer in layers}
    return ShiftReference(
        weights=fingerprint(model.state_dict()),
        source=source.name,
        data=source.fingerprint,
        examples=len(chosen),
        preprocessing=source.preparation,
        layers=layers,
        bands=chance_bands(kept, sizes(len(chosen)), seed),
    )


def sizes(examples: int) -> tuple[int, ...]:
    """The numbers of examples that a reference has bands for: 16, 32, 64 and so on, and ``examples``.

    >>> sizes(100), sizes(64)
    ((16, 32, 64, 100), (16, 32, 64))
    """
    doubled = [FEWEST_EXAMPLES]
    while 2 * doubled[-1] <= examples:
        doubled.append(2 * doubled[-1])
    return tuple(dict.fromkeys((*doubled, examples)))


def watched_sites(model: nn.Module) -> tuple[Site, ...]:
    """The layers whose inputs are compared. Raises ModelError where there is none."""
    sites = keeping_statistics(find_sites(model))
    if not sites:
        raise ModelError(
            "the network has no layers that keep running statistics, so it has nothing to tell a shift by; compare its "
            "accuracy on labelled data with `afternorm evaluate`."
        )
    return sites


def reference_missing(reason: str) -> Finding:
    """That no reference was written beside a tuned network, and why."""
    return Finding(code="no-reference", severity="info", message=f"no reference of a shift was kept: {reason}")
