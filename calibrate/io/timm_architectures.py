"""timm's image models by name, without their weights: nothing is ever downloaded."""

import difflib
import math
from collections.abc import Mapping
from typing import Any

from torch import nn

from calibrate.errors import ModelError, UnavailableError, UsageError
from calibrate.recipe import Preprocessing

#: Arguments of ``timm.create_model`` that would fetch or open weights; here they come from the checkpoint alone.
FETCHING = frozenset({"pretrained", "checkpoint_path", "cache_dir"})


def build_timm(name: str, args: Mapping[str, Any]) -> nn.Module:
    """``timm.create_model(name, pretrained=False, **args)``, for names that timm itself has registered.

    ``name`` is without ``timm/``; it may carry the tag of its published weights (``resnet50.a1_in1k``).
    """
    timm = _timm()
    check_name(name)
    fetching = sorted(FETCHING & args.keys())
    if fetching:
        raise UsageError(
            f"the architecture argument {fetching[0]!r} would have timm fetch weights, which are only ever read from "
            "the checkpoint; leave it out."
        )
    model: nn.Module = timm.create_model(name, pretrained=False, **args)
    return model


def timm_preprocessing(name: str, args: Mapping[str, Any]) -> Preprocessing | None:
    """How the published weights of that architecture were evaluated, by timm's own configuration.

    None where our preprocessing cannot say it: inputs that are not square or not RGB, and images that timm squeezes
    to a square or puts on a border instead of cropping them. ``img_size`` in ``args`` decides over the published size.
    """
    timm = _timm()
    from timm.data.config import resolve_data_config

    check_name(name)
    published = timm.get_pretrained_cfg(name)
    if published is None or args.get("in_chans", 3) != 3:
        return None
    config = resolve_data_config({"img_size": args.get("img_size")}, pretrained_cfg=published.to_dict())  # type: ignore[no-untyped-call]
    channels, height, width = config["input_size"]
    if height != width or channels != 3 or config["crop_mode"] != "center":
        return None
    return Preprocessing(
        resize=math.floor(height / config["crop_pct"]),
        crop=height,
        interpolation=config["interpolation"],
        mean=tuple(config["mean"]),
        std=tuple(config["std"]),
    )


def check_name(name: str) -> None:
    """Raise ModelError, with suggestions, unless timm has registered ``name`` (before its first dot)."""
    known = _timm().list_models()
    if name.partition(".")[0] in known:
        return
    close = difflib.get_close_matches(name.lower(), known)
    meant = f"did you mean {', '.join(f'timm/{match}' for match in close)}? " if close else ""
    raise ModelError(
        f"the architecture {f'timm/{name}'!r} is not known to timm {_timm().__version__}; {meant}"
        "`timm.list_models()` lists all; weights come from the checkpoint, so a hub address is no architecture."
    )


def _timm() -> Any:
    try:
        import timm
    except ImportError:
        raise UnavailableError(
            'timm/<name> architectures need timm, which is not installed; run `pip install "afternorm[timm]"`, or pass '
            "a factory of your own (--architecture package.module:factory)."
        ) from None
    return timm
