"""The step ``search_statistics``: stored and re-estimated statistics mixed by the weight that is best."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import ceil

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from calibrate.data import Source
from calibrate.engine.handler import Handler
from calibrate.engine.passes.batches import EvaluatedBatches, drawn
from calibrate.engine.passes.prediction import input_dtype
from calibrate.engine.run import Run
from calibrate.engine.steps.reestimate import find_idle_, moved, note_repeated_, prior_of, statistics_of
from calibrate.engine.trials.store import trial_key
from calibrate.io import fingerprint
from calibrate.memory_limits import memory_budget
from calibrate.search import (
    STORED,
    InformationCriterion,
    LabelledCriterion,
    Mix,
    MixCriterion,
    margin_for,
    search_statistics,
)
from calibrate.stats import Reestimated, batches_that_fit, reestimate_
from calibrate.steps import SearchStatistics, StatisticsChoice, StatisticsSearch
from calibrate.surgery import Site, find_sites, share_weights, with_statistics

#: Fewer examples than these tell nothing, however little memory there is.
LEAST_EXAMPLES = 16


def search_statistics_(run: Run, step: SearchStatistics) -> None:
    """Give the matching sites the mix of their statistics that is best on the calibration half, if it is convincing."""
    mixing = _Mixing.of(run, step)
    stored = run.model_logits()
    rows = mixing.rows

    def logits_of(mix: Mix) -> Tensor:
        return stored[rows] if mix == STORED else mixing.logits_of(mix)

    forwards = run.notes.forwards
    criterion, layers = _criterion(run, step, rows), len(mixing.depth)
    choice = search_statistics(logits_of, criterion, step, layers=layers, examples=len(rows))
    before = [statistics_of(site.module) for site in mixing.sites]
    found: Reestimated | None = None
    if choice.chosen != STORED:
        model, found = mixing.settled(Mix(*choice.chosen))
        logits = run.on_calibration(model, f"search_statistics, λ = {Mix(*choice.chosen)}, with the final statistics")
        criterion = _criterion(run, step, torch.arange(len(stored)))
        gained = criterion.gain(criterion.score(stored), criterion.score(logits))
        margin = margin_for(step, len(stored))
        if gained.beats(margin):
            run.state.model = model
            run.change_()
            run.state.logits = logits
            find_idle_(run, found)
            note_repeated_(run, found)
        else:
            choice, found = _stays(choice, f"evaluated once more, it beat λ = 1 only {gained.words(margin)}"), None
    passes = 1 + (run.notes.forwards - forwards) / len(stored)
    run.add_outcome_(_result(run, mixing, choice, found, before, passes))


def _stays(choice: StatisticsChoice, why: str) -> StatisticsChoice:
    reason = f"{choice.reason}; {why}, so the stored statistics stay"
    return choice.model_copy(update={"chosen": tuple(STORED), "gain": 0.0, "standard_error": 0.0, "reason": reason})


@dataclass(eq=False)
class _Mixing:
    """Mixes of the statistics of ``sites``; ``depth`` is where each stands, from 0 at the first to 1 at the last.

    The new ones are of the ``examples`` of ``source``, and while searching of the ``searched`` ones among them; the
    choice is made on the ``rows`` of the calibration half.
    """

    run: Run
    step: SearchStatistics
    sites: tuple[Site, ...]
    depth: Mapping[str, float]
    source: Source
    examples: NDArray[np.int64]
    searched: NDArray[np.int64]
    rows: Tensor
    memory: int
    _made: dict[Mix, tuple[nn.Module, Reestimated]] = field(default_factory=dict)

    @classmethod
    def of(cls, run: Run, step: SearchStatistics) -> "_Mixing":
        given, half = run.given, run.given.split.calibration
        sites = with_statistics(find_sites(run.state.model), step.sites)
        places = {name: place for place, name in enumerate(given.look.positions)}
        reached = sorted((site.name for site in sites if site.name in places), key=places.__getitem__)
        depth = {name: place / max(len(reached) - 1, 1) for place, name in enumerate(reached)}
        source, examples = given.source, half
        if step.on == "training":
            assert given.training is not None, "open_training refuses a recipe that wants what was not given"
            source, examples = given.training, np.arange(len(given.training))
        memory = memory_budget(given.setting.device) if step.memory_mib is None else step.memory_mib << 20
        searched = drawn(examples, _fitting(run, step, sites, memory, len(examples)), given.seed)
        rows = np.arange(len(half)) if step.on == "training" else np.searchsorted(half, searched)
        return cls(run, step, sites, depth, source, examples, searched, torch.from_numpy(rows), memory)

    def weights(self, mix: Mix) -> Mapping[str, float]:
        """λ of each layer."""
        return {name: (1 - s) * mix.first + s * mix.last for name, s in self.depth.items()}

    def logits_of(self, mix: Mix) -> Tensor:
        """Logits (n, K) of the examples to choose on; what this takes counts also where they are recalled."""
        run, trials = self.run, self.run.given.trials
        stage = f"search_statistics, λ = {mix} on {len(self.searched)} examples"
        key = self._key(mix)
        if trials is not None and (kept := trials.recall(key)) is not None:
            run.notes.forwards += len(self.searched)
            return kept
        outputs: dict[int, Tensor] = {}
        model, found = self._mixed(mix, self.searched, outputs)
        self._made[mix] = model, found
        if self.step.on == "training" or found.repeated:
            return run.on_calibration(model, stage, self.rows)
        logits = torch.cat([outputs[first] for first in sorted(outputs)]).to(input_dtype(model))
        if trials is not None:
            trials.keep(key, stage, logits)
        return logits

    def settled(self, mix: Mix) -> tuple[nn.Module, Reestimated]:
        """The network with these statistics of all examples."""
        if len(self.searched) == len(self.examples):
            if mix in self._made:
                return self._made[mix]
            before = self.run.notes.forwards
            made = self._mixed(mix, self.examples, {})
            self.run.notes.forwards = before  # it counted when its logits were recalled
            return made
        return self._mixed(mix, self.examples, {})

    def _mixed(self, mix: Mix, indices: NDArray[np.int64], outputs: dict[int, Tensor]) -> tuple[nn.Module, Reestimated]:
        """The network with the statistics of these examples in the mix; its ``outputs`` by the first of each batch."""
        setting, model = self.run.given.setting, share_weights(self.run.state.model)
        batches = EvaluatedBatches(self.source, indices, setting, input_dtype(model))

        def see(first: int, output: Tensor) -> None:
            outputs[first] = output.cpu()

        found = reestimate_(
            model,
            batches,
            weight=self.weights(mix),
            sites=self.step.sites,
            memory=self.memory,
            see=see,
            progress=setting.progress,
        )
        self.run.notes.forwards += batches.read
        return model, found

    def _key(self, mix: Mix) -> str:
        """What the logits are kept under."""
        about = (trial_key(self.run.state.model, self.source, self.searched), sorted(self.weights(mix).items()))
        return hashlib.sha256(f"mixed\0{about}".encode()).hexdigest()


def _fitting(run: Run, step: SearchStatistics, sites: tuple[Site, ...], memory: int, n: int) -> int:
    """How many of n examples fit into ``memory`` together; a resumed run takes its first attempt's number."""
    trials = run.given.trials
    names = [site.name for site in sites]
    about = (fingerprint(run.state.model.state_dict()), run.given.source.fingerprint, n, names, step.memory_mib)
    key = hashlib.sha256(f"fitting\0{about}".encode()).hexdigest()
    if trials is not None and (kept := trials.recall(key)) is not None:
        return int(kept)
    fitting = _count_fitting(run, sites, memory, n)
    if trials is not None:
        trials.keep(key, "examples that fit into memory together", torch.tensor([[fitting]]))
    return fitting


def _count_fitting(run: Run, sites: tuple[Site, ...], memory: int, n: int) -> int:
    setting, first = run.given.setting, run.given.first[:1]
    batch = first.repeat(min(setting.batch_size, n), *[1] * (first.dim() - 1))
    batches, _ = batches_that_fit(memory, run.state.model, [site.module for site in sites], batch)
    return n if batches >= ceil(n / len(batch)) else max(batches * len(batch), min(n, LEAST_EXAMPLES))


def _criterion(run: Run, step: SearchStatistics, rows: Tensor) -> MixCriterion:
    """What the choice on the ``rows`` of the calibration half goes by."""
    if step.criterion == "mutual_information":
        return InformationCriterion(run.model_logits()[rows], run.given.seed)
    return LabelledCriterion(run.calibration_labels[rows], run.given.seed)


def _result(
    run: Run,
    mixing: _Mixing,
    choice: StatisticsChoice,
    found: Reestimated | None,
    before: list[tuple[Tensor, Tensor]],
    passes: float,
) -> StatisticsSearch:
    images = len(mixing.examples) if found is None else found.images
    first, last = (prior_of(weight, images) for weight in choice.chosen)
    layers = (
        ()
        if found is None
        else tuple(
            moved(site.name, old, run.state.model.get_submodule(site.name))
            for site, old in zip(mixing.sites, before, strict=True)
            if site.name in found.moments
        )
    )
    return StatisticsSearch(
        **dict(choice),
        criterion=mixing.step.criterion,
        on=mixing.step.on,
        n=len(mixing.rows),
        searched_images=len(mixing.searched),
        images=images,
        memory_bytes=mixing.memory,
        prior=(first, last),
        passes=passes,
        layers=layers,
    )


class SearchStatisticsHandler(Handler[SearchStatistics]):
    """Carries out SearchStatistics."""

    keeps_logits = True

    def check_network(self, step: SearchStatistics, model: nn.Module) -> None:
        """See :meth:`Handler.check_network`."""
        with_statistics(find_sites(model), step.sites)

    def expected_passes(self, step: SearchStatistics) -> float:
        """See :meth:`Handler.expected_passes`: λ = 1, what is tried beyond it, and the last check."""
        tried = len(step.grid) + (6 if step.search == "line" else 2)
        return 2.0 + tried * (2 if step.on == "training" else 1)

    def run(self, run: Run, step: SearchStatistics) -> None:
        """See :meth:`Handler.run`."""
        search_statistics_(run, step)
