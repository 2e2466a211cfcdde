"""The adapted network: a method, the network it sets out from, and the way back."""

import copy
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from calibrate.adapt.adapter import Adapter, Keeps, Tally
from calibrate.adapt.bn_alpha import BNAlphaAdapter
from calibrate.adapt.collapse import CollapseDetector
from calibrate.adapt.eata import EATAAdapter
from calibrate.adapt.eta import ETAAdapter
from calibrate.adapt.iew import IEWAdapter
from calibrate.adapt.lame import LAMEAdapter
from calibrate.adapt.prediction_time_bn import PredictionTimeBNAdapter
from calibrate.adapt.sar import SARAdapter
from calibrate.adapt.tent import TentAdapter
from calibrate.errors import DataError, UsageError
from calibrate.steps import EATA, ETA, IEW, LAME, METHODS, SAR, BNAlpha, CollapseRule, Method, PredictionTimeBN, Tent

#: Which adapter carries out which method. A test holds this table equal to the union of the methods.
ADAPTERS: Mapping[type, type[Adapter[Any]]] = {
    IEW: IEWAdapter,
    PredictionTimeBN: PredictionTimeBNAdapter,
    BNAlpha: BNAlphaAdapter,
    Tent: TentAdapter,
    ETA: ETAAdapter,
    EATA: EATAAdapter,
    SAR: SARAdapter,
    LAME: LAMEAdapter,
}


def _settings(method: Method | str) -> Method:
    """The method itself, or that of the name with its defaults."""
    settings = METHODS.get(method) if isinstance(method, str) else method
    if type(settings) not in ADAPTERS:
        raise UsageError(
            f"{method!r} is no adaptation method; give settings such as Tent(lr=1e-3), or one of the names "
            f"{', '.join(METHODS)}."
        )
    return settings  # type: ignore[return-value]


def _finite(x: Tensor) -> bool:
    """Whether all values are finite. A finite sum proves it, and is quicker to take."""
    return bool(x.sum().isfinite()) or bool(x.isfinite().all())


class Adapted:
    """A trained network that adapts to the batches it is given, by one method.

    ``source`` is copied and never changed. With ``episodic`` every batch is met by the original network; else what was
    learned stays until :meth:`reset`, which goes back to the source bit for bit, the optimizer's state included. So it
    does by itself where the predictions collapse, as ``collapse`` says; None never does, and an episodic network, or a
    method that learns nothing, has nothing to lose. The predictions for the batch that showed the collapse are given as
    they are. ``in_distribution`` are batches of inputs like those of the training, which EATA needs.

    ``method`` are its settings, or its name for the defaults.

    >>> import torch
    >>> network = nn.Sequential(nn.BatchNorm1d(2), nn.Linear(2, 3)).eval()
    >>> adapted = Adapted(network, PredictionTimeBN())
    >>> adapted(torch.randn(8, 2)).shape
    torch.Size([8, 3])
    """

    @torch.inference_mode(False)
    def __init__(
        self,
        source: nn.Module,
        method: Method | str,
        *,
        in_distribution: Iterable[Tensor] = (),
        episodic: bool = False,
        collapse: CollapseRule | None = CollapseRule(),  # noqa: B008  (frozen)
    ) -> None:
        method = _settings(method)
        self._prepared = ADAPTERS[type(method)](method, copy.deepcopy(source), in_distribution)
        self._episodic = episodic
        self._images = 0
        self._collapses: list[int] = []
        self._detector: CollapseDetector | None = None
        if collapse and not episodic and self._prepared.learned:
            self._detector = CollapseDetector(collapse, copy.deepcopy(source).eval())
        self._adapter = self._begin()

    @property
    def model(self) -> nn.Module:
        """The network as it is now."""
        return self._adapter.model

    @property
    def keeps(self) -> Keeps:
        """What is left when the stream ends; see :class:`~calibrate.adapt.adapter.Adapter`."""
        return self._adapter.keeps

    @property
    def learned(self) -> tuple[str, ...]:
        """The names, in the state dict, of the tensors that the method learns."""
        return tuple(self._adapter.learned)

    @property
    def tally(self) -> Tally:
        """What was spent so far, also before a reset."""
        return self._adapter.tally

    @property
    def collapses(self) -> tuple[int, ...]:
        """For each collapse, how many images had been seen when the network was reset for it."""
        return tuple(self._collapses)

    @property
    def checks(self) -> int:
        """How many passes of the source network it took to tell collapses from streams of one class."""
        return 0 if self._detector is None else self._detector.passes

    @torch.inference_mode(False)
    def step(self, x: Tensor) -> Tensor:
        """The logits (n, K) for the batch ``x``, after learning from it what the method learns."""
        if not isinstance(x, Tensor) or not len(x) or not _finite(x):
            raise DataError(
                "a batch to adapt to is a tensor of one example at least, whose values are finite; this one is not. "
                "Nothing was learned from it; leave it out."
            )
        if self._episodic:
            self.reset()
        logits = self._adapter.step(x.clone() if x.is_inference() else x)
        self._images += len(x)
        if self._detector and self._detector.observe_(x, logits):
            self._collapses.append(self._images)
            self.reset()
        return logits

    def __call__(self, x: Tensor) -> Tensor:
        """See :meth:`step`."""
        return self.step(x)

    @torch.inference_mode(False)
    def reset(self) -> None:
        """Forget all that was learned."""
        self._adapter = self._begin()
        if self._detector:
            self._detector.forget_()

    def _begin(self) -> Adapter[Any]:
        if not self._prepared.learned:
            return self._prepared
        return copy.deepcopy(self._prepared, {id(self._prepared.tally): self._prepared.tally})
