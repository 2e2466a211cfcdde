"""Input fit: whether a network's inputs are prepared as in its training, and which usual preparation fits better."""

import numpy as np
from numpy.typing import NDArray
from torch import nn

from calibrate.data import Source
from calibrate.diagnose import first_layer, misfit
from calibrate.engine.inputs.judgement import Judge, is_turned, penalty
from calibrate.engine.inputs.stored_examples import (
    LEAST_EXAMPLES,
    contrast_of,
    fit_of,
    other_preparations,
    read_examples,
    used_range,
)
from calibrate.engine.passes.prediction import input_dtype
from calibrate.engine.passes.setting import Setting
from calibrate.preprocessing import InputMap
from calibrate.result import Finding
from calibrate.steps import InputFit, NotApplicable


def find_input_fit(
    model: nn.Module,
    source: Source,
    rows: NDArray[np.int64],
    setting: Setting,
    seed: int,
    *,
    training: Source | None = None,
    tuned: bool = False,
) -> InputFit | NotApplicable:
    """Compare the preparation of the examples ``rows`` with others, on some of them.

    Where there are labels, a better one must prove itself on them.
    Cost: see :class:`~calibrate.ProbeInputFit`.
    """
    if len(rows) < LEAST_EXAMPLES:
        return _not_applicable(f"{len(rows)} examples are too few to tell, {LEAST_EXAMPLES} at least are needed")
    examples = read_examples(source, rows, setting, input_dtype(model), seed)
    if len(examples.raw) < LEAST_EXAMPLES:
        return _not_applicable("too many examples have values that are infinite or not a number")
    given = source.preprocessing or source.input_map or InputMap()
    first = first_layer(model, examples.inputs(given)[:2])
    if isinstance(first, str):
        return _not_applicable(first)
    used = used_range(examples.raw) if source.preprocessing else None
    others = other_preparations(examples, given, training)
    own = fit_of(model, first, examples, "as given", given)
    tried = {name: misfit(model, first, [examples.few_inputs(item)]) for name, item in others.items()}
    by_fit = sorted(tried, key=lambda name: tried[name] * penalty(others[name], given, examples))
    turned = [name for name in by_fit if is_turned(others[name], given)]
    fits = [fit_of(model, first, examples, name, others[name]) for name in dict.fromkeys((*by_fit[:5], *turned[:4]))]
    fits.sort(key=lambda item: item.misfit)
    found = InputFit(
        tuned=tuned,
        images=len(examples.rows),
        layer=first.name,
        channels=int(first.live.sum()),
        behind=first.behind,
        given=own,
        others=tuple(fits),
        misfits=False,
        contrast=contrast_of(examples, given),
        used=used,
    )
    return Judge(model, first, examples, given, others, rows).judged(found)


def input_findings(fit: InputFit) -> tuple[Finding, ...]:
    """What the reader should know of it."""
    if not fit.misfits:
        return ()
    if fit.taken:
        return (Finding(code="preprocessing-taken", severity="info", message=fit.words()),)
    return (Finding(code="input-misfit", severity="warning", message=fit.words()),)


def _not_applicable(reason: str) -> NotApplicable:
    return NotApplicable(tuned=False, images=0, probe="input_fit", reason=reason)
