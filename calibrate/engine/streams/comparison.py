"""The bench on which all methods meet the same streams."""

from dataclasses import replace

import torch
from torch import Tensor, nn

from calibrate.adapt import Adapted
from calibrate.data.stream_orders import stream_order
from calibrate.diagnose import diagnose_stream
from calibrate.engine.passes.prediction import input_dtype
from calibrate.engine.run import Run
from calibrate.engine.streams.batches import Rows, Take, adapted_logits, in_distribution, in_domain, stream_batches
from calibrate.engine.streams.scores import Course, method_scores, visit_scores
from calibrate.engine.tuning.group_moments import estimate_group_moments_
from calibrate.generators import numpy_generator
from calibrate.result import Progress
from calibrate.steps import IEW, Domain, Method, ProbeAdaptation, Stream, StreamDiagnosis, StreamScores
from calibrate.surgery import checked_logits, copied, evaluating

AS_THEY_ARE = Domain()
#: The visits of a stream, from its first on, that the diagnosis looks at.
DIAGNOSED = 512

Order = tuple[Rows, Rows]


class Bench:
    """The inputs of the examples ``sample`` in each domain, and what the network predicts without adapting.

    Both are made once. The network, ``run.state.model``, is never changed.
    """

    def __init__(self, run: Run, step: ProbeAdaptation, sample: Rows) -> None:
        self._run, self._step, self._labels = run, step, run.labels_of(sample)
        self._shuffled = torch.from_numpy(numpy_generator(run.given.seed).permutation(len(sample)))
        domains = dict.fromkeys([AS_THEY_ARE, *(domain for stream in step.streams for domain in stream.domains)])
        self._inputs = {domain: self._made(domain, sample) for domain in domains}
        self._unadapted_logits = {
            domain: self._logits(run.state.model, inputs, run.given.setting.batch_size)
            for domain, inputs in self._inputs.items()
        }
        self._sources = {method: self._source(method) for method in step.methods}
        self._before: dict[Method, float] = {}

    def scores(self, stream: Stream, stage: str) -> StreamScores:
        """All methods on ``stream``, the network without adapting first."""
        run, seeds = self._run, self._step.seeds
        orders = [stream_order(self._labels.numpy(), stream, run.given.seed + number) for number in range(seeds)]
        courses = [[self._unadapted(stream, order) for order in orders]]
        for method in self._step.methods:
            of_method = f"{stage}, {method.kind}"
            courses.append(
                [
                    self._adapted(stream, order, method, f"{of_method}, order {number} of {seeds}")
                    for number, order in enumerate(orders, 1)
                ]
            )
        return StreamScores(
            stream=stream,
            visits=len(orders[0][0]),
            diagnosis=self._diagnosis(stream, orders[0]),
            methods=method_scores(
                (None, *self._step.methods),
                courses,
                examples=len(self._labels),
                resamples=self._step.resamples,
                seed=run.given.seed,
            ),
        )

    def _unadapted(self, stream: Stream, order: Order) -> Course:
        """Its predictions do not depend on the order."""
        logits = torch.stack([self._unadapted_logits[domain] for domain in stream.domains])
        return self._course(order, logits[order])

    def _adapted(self, stream: Stream, order: Order, method: Method, stage: str) -> Course:
        adapted = Adapted(
            self._sources[method],
            method,
            in_distribution=in_distribution(self._run),
            episodic=stream.episodic,
            collapse=self._step.collapse,
        )
        keeps_learning = bool(adapted.learned) and not stream.episodic
        if keeps_learning and method not in self._before:
            self._before[method] = self._top1(adapted.model)
        visits = len(order[0])
        batches = stream_batches(order, stream.batch_size, self._take(stream))
        course = self._course(order, torch.cat(list(adapted_logits(self._run, adapted, batches, stage, visits))))
        count = -(-visits // stream.batch_size)
        return replace(
            course,
            forward=adapted.tally.forward / count,
            backward=adapted.tally.backward / count,
            checks=adapted.checks / count,
            collapses=len(adapted.collapses),
            resets=adapted.tally.resets,
            learned=len(adapted.learned),
            keeps=adapted.keeps,
            source_change=self._top1(adapted.model) - self._before[method] if keeps_learning else None,
        )

    def _course(self, order: Order, logits: Tensor) -> Course:
        return Course(order[1], *visit_scores(logits, self._labels[order[1]]))

    def _diagnosis(self, stream: Stream, order: Order) -> StreamDiagnosis:
        """What the first part of the stream shows."""
        run = self._run
        first = order[0][:DIAGNOSED], order[1][:DIAGNOSED]
        batches = [self._on_device(x) for x in stream_batches(first, stream.batch_size, self._take(stream))]
        run.notes.forwards += len(first[0])
        return diagnose_stream(run.state.model, batches, run.given.seed)

    def _take(self, stream: Stream) -> Take:
        return lambda domain, rows: self._inputs[stream.domains[domain]][torch.from_numpy(rows)]

    def _top1(self, model: nn.Module) -> float:
        """Top-1 of ``model``, without learning, on the examples as they are, in random order.

        Data often lie in the order of their classes, which is bad for networks that normalise by the batch.
        """
        size = self._run.given.setting.statistics_batch
        logits = self._logits(model, self._inputs[AS_THEY_ARE][self._shuffled], size)
        return float(visit_scores(logits, self._labels[self._shuffled])[0].mean())

    def _logits(self, model: nn.Module, inputs: Tensor, size: int) -> Tensor:
        self._run.notes.forwards += len(inputs)
        with evaluating(model), torch.inference_mode():
            return torch.cat([checked_logits(model, self._on_device(x)).cpu() for x in inputs.split(size)])

    def _on_device(self, x: Tensor) -> Tensor:
        return x.to(self._run.given.setting.device, input_dtype(self._run.state.model))

    def _made(self, domain: Domain, sample: Rows) -> Tensor:
        """The inputs (n, C, ...) of the sample in ``domain``."""
        setting, made = self._run.given.setting, []
        for batch in in_domain(self._run.given.source, domain, self._run.given.seed).batches(
            sample, setting.batch_size
        ):
            made.append(batch.inputs)
            done = sum(map(len, made))
            setting.progress(Progress(f"adaptation, inputs {domain.title}", done, len(sample)))
        return torch.cat(made)

    def _source(self, method: Method) -> nn.Module:
        """The network that ``method`` sets out from: GroupNorm layers weigh examples only against running moments."""
        if isinstance(method, IEW):
            return estimate_group_moments_(self._run, copied(self._run.state.model), method.sites)
        return self._run.state.model
