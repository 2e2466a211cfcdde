"""Placing layers where a network has BatchNorm: which sites become what."""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from calibrate.errors import ModelError, UsageError, meant, require_kind
from calibrate.nn import LAYERS, BatchNormVariant, InputBatchNorm
from calibrate.surgery.kinds import batch_norm_kind
from calibrate.surgery.sites import Site, find_sites
from calibrate.surgery.swap import replace_

#: Subclasses may do more than normalise, so only torch's own types are replaced, and what computes the same, the
#: variants of ``calibrate.nn``, and the two of ``timm.layers`` that normalise, drop and activate.
ACTIVATED = ("BatchNormAct2d", "SyncBatchNormAct")


@dataclass(frozen=True, slots=True, init=False)
class Replacement:
    """What a site becomes: a layer of ``calibrate.nn.LAYERS``, by its class or name, and that layer's settings.

    >>> from calibrate.nn import StochNorm
    >>> Replacement(StochNorm, p=0.25) == Replacement("StochNorm", {"p": 0.25})
    True
    """

    layer: str
    settings: Mapping[str, Any]

    def __init__(
        self, layer: str | Callable[..., nn.Module], settings: Mapping[str, Any] | None = None, **more: Any
    ) -> None:
        require_kind(settings, (Mapping, type(None)), "settings", "a mapping, or the settings by their names")
        object.__setattr__(self, "layer", layer if isinstance(layer, str) else _name_of(layer))
        object.__setattr__(self, "settings", {**(settings or {}), **more})


#: For each site, by its first name, what it becomes.
Replacements = Mapping[str, Replacement]


def place_(model: nn.Module, replacements: Replacements) -> nn.Module:
    """Put the layers of ``replacements`` where they belong: all of them, under all their names, or none.

    The new layers share the old ones' γ, β and running statistics as far as they have them, and keep eps, momentum,
    mode, device and precision, state-dict keys and ties. Layers that also activate go on doing so. Returns the network:
    ``model`` itself, unless it is a lone layer.

    Raises UsageError for names and settings that are not there, ModelError for a site that cannot be replaced.

    >>> place_(nn.Sequential(nn.BatchNorm1d(3)), {"0": Replacement("StochNorm", {"p": 0.25})})
    Sequential(
      (0): StochNorm(3, eps=1e-05, momentum=0.1, p=0.25)
    )
    """
    for name, replacement in replacements.items():
        require_kind(replacement, Replacement, name, "a Replacement, such as `Replacement(StochNorm, p=0.5)`")
    sites = {site.name: site for site in find_sites(model)}
    unknown = [name for name in replacements if name not in sites]
    if unknown:
        raise UsageError(
            f"the network has no normalisation layer {unknown[0]!r}{meant(unknown[0], sites)}; `afternorm inspect` "
            "lists them all."
        )
    layers = {sites[name]: _layer(sites[name], replacement) for name, replacement in replacements.items()}
    for site, layer in layers.items():
        model = replace_(model, site, layer)
    return model


def _name_of(layer: Callable[..., nn.Module]) -> str:
    """The name of a layer's class; raises UsageError where it is none that can be placed."""
    for name, spec in LAYERS.items():
        if spec.layer is layer:
            return name
    called = getattr(layer, "__name__", repr(layer))
    raise UsageError(
        f"{called} is no layer that can be placed{meant(called, LAYERS)}; `afternorm methods` lists those that can, "
        "and calibrate.nn has them."
    )


def is_batch_norm(module: nn.Module) -> bool:
    """Whether a layer can be placed where ``module`` is."""
    if isinstance(module, BatchNormVariant):
        return not isinstance(module, InputBatchNorm)
    return batch_norm_kind(module) is not None or _activates(module)


def _layer(site: Site, replacement: Replacement) -> nn.Module:
    if not is_batch_norm(site.module):
        raise ModelError(
            f"{site.name} is a {type(site.module).__name__}, which may do something else than normalise by its batch, "
            "so no layer can take its place; leave it out of the placement."
        )
    spec = LAYERS.get(replacement.layer)
    if spec is None:
        raise UsageError(
            f"there is no layer {replacement.layer!r}{meant(replacement.layer, LAYERS)}; choose one of "
            f"{', '.join(LAYERS)}."
        )
    unknown = [name for name in replacement.settings if name not in spec.settings]
    if unknown:
        raise UsageError(
            f"{replacement.layer} has no setting {unknown[0]!r}{meant(unknown[0], spec.settings)}; it has "
            f"{', '.join(map(str, spec.settings.values())) or 'none'}."
        )
    try:
        layer = spec.make(site.module, **replacement.settings)  # type: ignore[arg-type]
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"{replacement.layer} cannot take the place of {site.name} ({site.channels} channels): {error}."
        ) from error
    if _activates(site.module):
        layer.drop, layer.act = site.module.drop, site.module.act
        layer.register_forward_hook(_drop_and_activate)
    return layer


def _activates(module: nn.Module) -> bool:
    if isinstance(module, BatchNormVariant):
        return hasattr(module, "act")
    timm = sys.modules.get("timm.layers")  # where it is not loaded, no layer of it exists
    return any(type(module) is getattr(timm, name, None) for name in ACTIVATED)


def _drop_and_activate(layer: nn.Module, _inputs: tuple[Tensor, ...], y: Tensor) -> Tensor:
    result: Tensor = layer.act(layer.drop(y))  # type: ignore[operator]
    return result
