"""The tuned file: safetensors weights that know how they came about."""

import copy
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import safetensors.torch
import torch
from pydantic import Field, ValidationError
from torch import Tensor, nn

from calibrate.errors import ExportError, ModelError
from calibrate.recipe import Preprocessing, Recipe
from calibrate.result import Parity
from calibrate.surgery import Link, evaluating, named_outputs
from calibrate.values import Value

KEY = "afternorm"


class Provenance(Value):
    """What a tuned file says of itself: enough to build the network again and to find the run that made it.

    ``class_synonyms`` are further names of the classes, by index, such as the words beside ImageNet's synsets.
    ``link`` is what the original network made probabilities of its logits with, where these were taken: in place of its
    module ``link_module``, or by the logarithm where that is None.
    """

    version: Literal[1] = 1
    architecture: str
    architecture_args: dict[str, Any]
    preprocessing: Preprocessing | None
    class_names: tuple[str, ...] | None
    class_synonyms: dict[str, Annotated[int, Field(ge=0)]] = Field(default_factory=dict)
    recipe: Recipe
    recipe_digest: str
    summary_digest: str
    temperature: float
    temperature_folded_into: str | None
    link: Link | None = None
    link_module: str | None = None


def tuned_bytes(model: nn.Module, provenance: Provenance) -> bytes:
    """The weights of ``model`` (α as ``<site>.alpha``) with ``provenance`` in the file's metadata.

    A tied tensor is written under each of its names, so that the file's keys are the state dict's; extra state of
    modules, which is no tensor, is not.
    """
    state = {name: tensor.detach().cpu().clone() for name, tensor in _tensors(model.state_dict()).items()}
    contiguous = {name: tensor.contiguous() for name, tensor in state.items()}
    return bytes(safetensors.torch.save(contiguous, {KEY: provenance.model_dump_json()}))


def check_tuned(content: bytes, model: nn.Module, examples: Tensor) -> Parity:
    """Load the file's ``content`` into an emptied copy of ``model``, and raise ExportError unless every bit agrees."""
    stored = safetensors.torch.load(content)
    with torch.no_grad():  # so that the weights of parts that torch.jit compiled come without the graph of the copying
        reopened, original = copy.deepcopy(model).cpu(), copy.deepcopy(model).cpu()
    state = reopened.state_dict()  # with the version metadata that some modules ask for and safetensors do not keep
    with torch.no_grad():
        for tensor in _tensors(state).values():
            tensor.zero_()
    complete = stored.keys() == _tensors(state).keys()
    state.update(stored)
    reopened.load_state_dict(state)
    with evaluating(reopened), evaluating(original), torch.inference_mode():
        if not complete or _seeded(reopened, examples) != _seeded(original, examples):
            raise ExportError("the tuned weights, reopened, compute something else; please report the architecture.")
    return Parity(batch_size=len(examples), relative_error=0.0, inputs="data")


def _tensors(state: Mapping[str, Any]) -> dict[str, Tensor]:
    return {name: value for name, value in state.items() if isinstance(value, Tensor)}


def _seeded(model: nn.Module, examples: Tensor) -> dict[str, tuple[torch.Size, torch.dtype, bytes]]:
    """The bits that ``model`` puts out, the same each time for a network that draws random numbers."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        output = named_outputs(model(examples.clone()))  # which the network may change in place
    return {
        name: (tensor.shape, tensor.dtype, tensor.contiguous().flatten().view(torch.uint8).numpy().tobytes())
        for name, tensor in output.items()
    }


def provenance_of(metadata: dict[str, str], source: str) -> Provenance | None:
    """The provenance in a safetensors file's metadata, None for a file that is not a tuned one."""
    if KEY not in metadata:
        return None
    try:
        return Provenance.model_validate_json(metadata[KEY])
    except ValidationError:
        raise ModelError(
            f"{source} says it was tuned by Afternorm, but its metadata cannot be read by this version; "
            "upgrade afternorm, or pass the checkpoint it was made from."
        ) from None
