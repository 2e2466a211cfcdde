"""The probe ``field_shift``: how far all the data are from the reference, and what to run where they have shifted."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from torch import nn

from calibrate.data import Source
from calibrate.diagnose import ExampleMoments, example_moments, shift_from
from calibrate.engine.handler import Given, Handler
from calibrate.engine.inputs.reference import MAKE_ONE, make_reference, watched_sites
from calibrate.engine.passes.batches import SourceBatches, drawn
from calibrate.engine.passes.prediction import input_dtype
from calibrate.engine.run import Run
from calibrate.errors import DataError, ModelError, UsageError
from calibrate.io import fingerprint
from calibrate.result import FEWEST_EXAMPLES, ShiftReference
from calibrate.steps import FieldShift, InputFit, ProbeFieldShift, ShiftedLayer


def probe_field_shift_(run: Run, step: ProbeFieldShift) -> None:
    """Note the shift of all the data, of both halves: nothing is chosen on them."""
    if run.state.changed:
        run.not_applicable_(step, "the steps before changed the network, and the reference is of the original one")
        return
    given = run.given
    reference = _reference(given)
    rows = np.arange(len(given.source))
    rows = drawn(rows, min(reference.examples, len(rows)), given.seed)
    batches = SourceBatches(given.source, rows, given.setting, input_dtype(run.state.model))
    run.notes.forwards += len(rows)
    moments = example_moments(run.state.model, batches, watched_sites(run.state.model))
    check_finite(moments, rows, given.source)
    found = shift_from(reference.layers, moments)
    if found is None:
        run.not_applicable_(step, "none of the reference's layers gets inputs, one for each example")
        return
    band = reference.band_of(len(rows))
    shifted = found.mean > band.shift or found.misfit > band.misfit
    otherwise = reference.preprocessing != given.source.preparation
    recipe, preprocessing = _next(given, prepared_otherwise=otherwise) if shifted else (None, None)
    outcome = FieldShift(
        tuned=False,
        images=len(rows),
        reference=reference.source,
        reference_images=reference.examples,
        band_images=band.examples,
        shift=found.mean,
        shift_by_chance=band.shift,
        misfit=found.misfit,
        misfit_by_chance=band.misfit,
        layers=tuple(ShiftedLayer(name=name, shift=shift) for name, shift in found.layers.items()),
        shifted=shifted,
        recipe=recipe,
        preprocessing=preprocessing,
        prepared_otherwise=otherwise,
        drawn_from=len(given.source) if len(rows) < len(given.source) else None,
    )
    run.add_outcome_(outcome)
    if shifted:
        run.add_finding_("field-shift", f"{outcome.words()}.")


def check_finite(moments: Mapping[str, ExampleMoments], rows: NDArray[np.int64], source: Source) -> None:
    """Raise DataError, naming it, for an example whose inputs of a layer are infinite or not a number."""
    for layer in moments.values():
        broken = ~(layer.first.isfinite().all(1) & layer.second.isfinite().all(1))
        if broken.any() and not broken.all():
            entry = source.entry(int(rows[int(broken.nonzero()[0])]))
            raise DataError(
                f"{int(broken.sum())} of {len(broken)} examples, such as {entry}, are infinite or not a number in the "
                "network, which is no shift; leave them out."
            )


def _reference(given: Given) -> ShiftReference:
    """The reference that was given, or is made of the training data that were."""
    if given.reference is not None:
        return given.reference
    assert given.training is not None, "check_data refuses a run without either"
    rows = np.arange(len(given.training))
    return make_reference(given.original, given.training, rows, given.setting, given.seed)


def _next(given: Given, *, prepared_otherwise: bool) -> tuple[str | None, str | None]:
    """The recipe to run on data that have shifted, or the preprocessing to give where labels prove it to be wrong.

    Where it is the reference's own, the images have changed, and not how they are prepared.
    """
    fit = given.input_fit
    if prepared_otherwise and isinstance(fit, InputFit) and fit.unsound and fit.proven and fit.better is not None:
        return None, "auto"
    if any(item.sick for item in given.health):
        return "repair", None
    return ("quick" if given.source.labels is None else "statistics"), None


class FieldShiftHandler(Handler[ProbeFieldShift]):
    """Carries out ProbeFieldShift."""

    def check_network(self, step: ProbeFieldShift, model: nn.Module) -> None:  # noqa: ARG002
        """See :meth:`Handler.check_network`."""
        watched_sites(model)

    def check_data(self, step: ProbeFieldShift, given: Given, model: nn.Module) -> nn.Module:  # noqa: ARG002
        """See :meth:`Handler.check_data`."""
        reference, examples = given.reference, len(given.source)
        if reference is None and given.training is None:
            raise UsageError(f"there is no reference that the data could have shifted from; {MAKE_ONE}.")
        if reference is not None and reference.weights != fingerprint(given.original.state_dict()):
            raise ModelError(
                f"the reference, made of {reference.source}, belongs to a network of other weights; name this "
                f"network's with --reference, or {MAKE_ONE}."
            )
        few = examples if reference is not None or given.training is None else min(examples, len(given.training))
        if few < FEWEST_EXAMPLES:
            raise DataError(
                f"{few} examples are too few to tell a shift from chance, {FEWEST_EXAMPLES} at least are needed; give "
                "more."
            )
        return model

    def run(self, run: Run, step: ProbeFieldShift) -> None:
        """See :meth:`Handler.run`."""
        probe_field_shift_(run, step)
