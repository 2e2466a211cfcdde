"""A fresh head: the last linear layer anew, for another number of classes."""

from typing import Any

from torch import nn

from calibrate.surgery.last_layer import Linear


def renew_head_(model: nn.Module, name: str, outputs: int) -> None:
    """Put a layer like the one called ``name``, with fresh weights from torch's generator, in its place.

    It puts out ``outputs`` numbers, stands under all the layer's names, and keeps its device, precision and mode.

    >>> model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 4))
    >>> renew_head_(model, "1", 2)
    >>> model[1]
    Linear(in_features=3, out_features=2, bias=True)
    """
    old = model.get_submodule(name)
    assert isinstance(old, Linear)
    home: dict[str, Any] = {"device": old.weight.device, "dtype": old.weight.dtype, "bias": old.bias is not None}
    fresh: nn.Module
    if isinstance(old, nn.Linear):
        fresh = nn.Linear(old.in_features, outputs, **home)
    else:
        shape: dict[str, Any] = {
            "kernel_size": old.kernel_size,
            "stride": old.stride,
            "padding": old.padding,
            "dilation": old.dilation,
        }
        fresh = type(old)(old.in_channels, outputs, **shape, **home)
    fresh.train(old.training)
    for place, module in list(model.named_modules(remove_duplicate=False)):
        if module is old:
            parent, _, attribute = place.rpartition(".")
            setattr(model.get_submodule(parent), attribute, fresh)
