"""What the layers of inference example weighing share: the weight α, and the formula."""

from typing import Any

import torch
from torch import Tensor, nn

from calibrate.nn.weighing import ONE_PASS_ALPHA, weigh


class ExampleWeighed(nn.Module):
    """A normalisation layer whose inference statistics give each example the weight α.

    A base class, to be put before the layer that it extends, which owns ``running_mean``, ``running_var``, ``weight``,
    ``bias`` (each (C,), the last two or None) and ``eps``. ``alpha`` is a buffer, () or (C,), float32 or wider whatever
    the network's precision, stored in the state dict as ``alpha``; the layer's own state dict, which has none, loads
    and leaves α as it is. Assign a float or a (C,) tensor to change it.
    """

    alpha: Tensor
    #: The α at which the layer computes as it was trained: none of an example's own statistics, where it had none.
    trained_alpha = 0.0
    num_features: int
    eps: float
    running_mean: Tensor | None
    running_var: Tensor | None
    weight: Any
    bias: Any

    def weigh(self, x: Tensor) -> Tensor:
        """Normalise ``x`` (N, C, *) by its own moments with weight α, by the running ones with weight 1 − α."""
        assert isinstance(self.running_mean, Tensor)
        assert isinstance(self.running_var, Tensor)
        moments, affine = (self.running_mean, self.running_var), (self.weight, self.bias)
        return weigh(x, moments, self.alpha, affine, self.eps, two_pass=self._largest_alpha > ONE_PASS_ALPHA)

    def following(self) -> tuple[nn.Module, ...]:
        """What follows the normalisation within the layer."""
        return ()

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "alpha":
            value = self._checked_alpha(value)
            super().__setattr__(name, value)
            self._note_alpha()
        else:
            super().__setattr__(name, value)

    def _alpha_repr(self) -> str:
        alpha = f"{self.alpha.item():g}" if self.alpha.dim() == 0 else f"tensor({self.num_features},)"
        return f"alpha={alpha}"

    def _is_plain(self) -> bool:
        """Whether every α is ``trained_alpha``, without asking the device unless α was changed in place."""
        if not torch.compiler.is_compiling() and _version(self.alpha) != self._alpha_version:
            self._note_alpha()
        return self._largest_alpha == self.trained_alpha

    def _note_alpha(self) -> None:
        self._alpha_version = _version(self.alpha)
        self._largest_alpha = 0.0 if self.alpha.is_meta else float(self.alpha.detach().max())

    def _checked_alpha(self, value: float | Tensor) -> Tensor:
        reference = self.running_mean
        assert isinstance(reference, Tensor)
        precision = torch.promote_types(reference.dtype, torch.float32)
        alpha = torch.as_tensor(value, device=reference.device, dtype=precision).detach()
        if tuple(alpha.shape) not in ((), (self.num_features,)):
            raise ValueError(
                f"alpha has shape {tuple(alpha.shape)}; give one number or one for each of {self.num_features} channels"
            )
        if not alpha.is_meta and not bool(((alpha >= 0) & (alpha <= 1)).all()):
            raise ValueError(f"alpha is {alpha.tolist()}; it is a weight, so keep it in [0, 1]")
        return alpha

    def _apply(self, fn: Any, recurse: bool = True) -> Any:
        """Move or convert the layer; α keeps its precision where the network's is lower."""
        exact = self.alpha
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        if self.alpha.dtype != exact.dtype and not exact.is_meta:
            self.alpha = exact.to(self.alpha.device)
        self._note_alpha()
        return self

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        key = f"{prefix}alpha"
        if key in state_dict:
            try:
                self.alpha = state_dict[key].clone()
            except ValueError as error:
                error_messages: list[str] = args[-1]
                error_messages.append(f"{key}: {error}")
        super()._load_from_state_dict({**state_dict, key: self.alpha}, prefix, *args)
        self._note_alpha()


def _version(tensor: Tensor) -> int:
    """How often ``tensor`` was changed in place; tensors made in inference mode do not count, and say 0."""
    return 0 if tensor.is_inference() else tensor._version
