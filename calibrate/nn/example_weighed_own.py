"""Inference example weighing of batch normalisation that a network has a class of its own for."""

from typing import Any, cast

from torch import Tensor, nn

from calibrate.nn.example_weight import ExampleWeighed
from calibrate.nn.weighing import ONE_PASS_ALPHA, weigh


class ExampleWeighedOwnBatchNorm(ExampleWeighed):
    """A layer of a class of the network's own that computes BatchNorm, with the weight α of each example; a base class.

    The formula is :class:`~calibrate.nn.ExampleWeighedBatchNorm`'s, with the eps that was found, and what follows it in
    the layer. The layer's parameters, buffers, submodules and hooks are shared, under their own names; its training is
    unchanged. Made by :func:`weigh_own`.

    *Equals the layer when* α = 0 (bit for bit: its own forward runs), or in training.
    """

    found_eps: float
    #: What follows the normalisation: a module without state, or the name of a submodule; None where nothing does.
    found_act: nn.Module | str | None

    def forward(self, *arguments: Any, **named: Any) -> Tensor:
        """Normalise the input; see the class."""
        if self.training or self._is_plain():
            return cast("Tensor", super().forward(*arguments, **named))
        (x,) = (*arguments, *named.values())
        y = self.weigh(x)
        for module in self.following():
            y = module(y)
        return y

    def weigh(self, x: Tensor) -> Tensor:
        """Normalise ``x`` (N, C, *) by its own moments with weight α, by the running ones with weight 1 − α."""
        assert isinstance(self.running_mean, Tensor)
        assert isinstance(self.running_var, Tensor)
        moments = self.running_mean, self.running_var
        affine = self.weight, self.bias
        return weigh(x, moments, self.alpha, affine, self.found_eps, two_pass=self._largest_alpha > ONE_PASS_ALPHA)

    def following(self) -> tuple[nn.Module, ...]:
        """What follows the normalisation."""
        act = self.get_submodule(self.found_act) if isinstance(self.found_act, str) else self.found_act
        return () if act is None else (act,)

    def extra_repr(self) -> str:
        """The layer's own, with α."""
        return ", ".join(filter(None, (super().extra_repr(), self._alpha_repr())))

    def __reduce__(self) -> Any:
        return _blank, (type(self).__bases__[1],), self.__dict__


def weigh_own(layer: nn.Module, eps: float, act: nn.Module | str | None) -> ExampleWeighedOwnBatchNorm:
    """A layer that shares all that ``layer`` has, with α = 0; ``eps`` and ``act`` are what its class was found to have.

    >>> import torch; from calibrate.nn import ExampleWeighed
    >>> weighed = weigh_own(nn.BatchNorm1d(3).eval(), 1e-5, None)
    >>> isinstance(weighed, ExampleWeighed), isinstance(weighed, nn.BatchNorm1d), sorted(weighed.state_dict())[0]
    (True, True, 'alpha')
    """
    made = _blank(type(layer))
    for name, value in layer.__dict__.items():
        made.__dict__[name] = value.copy() if name.startswith("_") and isinstance(value, dict | set) else value
    made.__dict__.update(found_eps=eps, found_act=act)
    count = cast("Tensor", layer.running_mean).numel()
    for name, missing in (("eps", eps), ("num_features", count), ("weight", None), ("bias", None)):
        if not hasattr(made, name):
            made.__dict__[name] = missing
    made.register_buffer("alpha", None)
    made.alpha = 0.0  # type: ignore[assignment]
    return made


_kinds: dict[type[nn.Module], type[ExampleWeighedOwnBatchNorm]] = {}


def _blank(own: type[nn.Module]) -> ExampleWeighedOwnBatchNorm:
    """A layer with nothing in it, of the class that extends ``own``; each has one."""
    if own not in _kinds:
        about = {"__module__": __name__, "__doc__": f":class:`ExampleWeighedOwnBatchNorm` of ``{own.__qualname__}``."}
        _kinds[own] = type(f"ExampleWeighed{own.__name__}", (ExampleWeighedOwnBatchNorm, own), about)
    return _kinds[own].__new__(_kinds[own])
