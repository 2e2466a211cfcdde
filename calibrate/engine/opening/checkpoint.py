"""Opening a network from a file: a plain checkpoint with its architecture, or a tuned file that knows its own."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError
from torch import Tensor, nn

from calibrate.data import ClassList
from calibrate.engine.passes.prediction import input_dtype
from calibrate.errors import ModelError, UsageError, require_kind
from calibrate.export import Provenance, provenance_of
from calibrate.io import (
    build,
    default_preprocessing,
    fingerprint,
    fit_weights,
    load_weights_,
    materialise_,
    read_checkpoint,
)
from calibrate.recipe import Preprocessing
from calibrate.result import Finding, ModelFacts
from calibrate.surgery import Taken, copied, divide_after_, find_sites, retake_logits_, weigh_examples_

#: Under which key in a file's metadata findings are handed on.
HANDED_ON = "afternorm.findings"
FINDINGS = TypeAdapter(tuple[Finding, ...])


@dataclass(frozen=True, slots=True, eq=False)
class Opened:
    """A network in evaluation mode, and what is known of its input and classes.

    ``weights`` is where in the file its weights were, a dotted path, ``other_weights`` where others are that fit it.
    ``findings`` are what the reader should know of both, and of what was left out. ``metadata`` are the file's.
    """

    model: nn.Module
    architecture: str
    architecture_args: dict[str, Any]
    preprocessing: Preprocessing | None
    class_names: tuple[str, ...] | None
    provenance: Provenance | None
    weights: str = ""
    other_weights: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)


def open_model(
    path: str | Path,
    architecture: str | None = None,
    architecture_args: Mapping[str, Any] | None = None,
    *,
    model: nn.Module | None = None,
    weights: str | None = None,
) -> Opened:
    """Open the checkpoint at ``path``, weights only.

    ``architecture`` is ``torchvision/<name>``, ``timm/<name>``, ``cifar/resnet<depth>`` or ``package.module:factory``.
    A tuned file names its own, but a factory, being code, must be named by the caller all the same; or ``model`` is a
    network of the same class, of which a copy gets the weights. Where the file holds several that fit, such as averaged
    ones, ``weights`` names those to take, by their path in the file or a part of it (``ema``); how those are chosen
    otherwise, how names are fitted and what is left out says ``calibrate.io.fit_weights``.

    Raises ModelError or UnsafeInputError when the file is no checkpoint or does not fit, UsageError when ``weights``
    names none or several.
    """
    require_kind(path, (str, Path), "path", "the path of a checkpoint")
    checkpoint = read_checkpoint(Path(path))
    provenance = provenance_of(checkpoint.metadata, str(path))
    if model is None:
        name, args = _architecture(str(path), architecture, architecture_args, provenance)
        network = build(name, args)
    else:
        name, args = _given(model, architecture, provenance)
        network = copied(model).eval()
    require_kind(weights, (str, type(None)), "weights", "the path of a state dict in the file, or a part of it")
    taken = fit_weights(network, checkpoint, weights)
    unproven = () if provenance is not None else _as_if_tuned(network, taken.state)
    if provenance is not None and provenance.link is not None:
        _take_logits_again_(network, Taken(provenance.link, provenance.link_module), str(path), name)
    if materialise_(network, taken.state):
        network = prepare_(network, taken.state, str(path))
    load_weights_(network, taken, Path(path), name)  # which says what an unsized network lacks
    return Opened(
        model=network.eval(),
        architecture=name,
        architecture_args=args,
        preprocessing=provenance.preprocessing if provenance else default_preprocessing(name, args),
        class_names=_class_names(provenance),
        provenance=provenance,
        weights=taken.path,
        other_weights=taken.others,
        findings=(*_handed_on(checkpoint.metadata), *checkpoint.findings, *taken.findings, *unproven),
        metadata=checkpoint.metadata,
    )


def _class_names(provenance: Provenance | None) -> ClassList | None:
    """The names of the classes that a tuned file holds, with their further names."""
    if provenance is None or provenance.class_names is None:
        return None
    return ClassList(provenance.class_names, provenance.class_synonyms)


def handing_on(opened: Opened) -> dict[str, str]:
    """The metadata of a file that holds what was taken of the opened one, so that findings on this are not lost."""
    if not opened.findings:
        return dict(opened.metadata)
    return {**opened.metadata, HANDED_ON: FINDINGS.dump_json(opened.findings).decode()}


def _handed_on(metadata: Mapping[str, str]) -> tuple[Finding, ...]:
    try:
        return FINDINGS.validate_json(metadata.get(HANDED_ON, "[]"))
    except ValidationError:  # which only whoever made such a file by hand could have written
        return ()


def _as_if_tuned(model: nn.Module, state: Mapping[str, Tensor]) -> tuple[Finding, ...]:
    """That entries which tuning adds were taken for such, in a file that does not say that it was tuned."""
    own = model.state_dict()
    added = [name for name in state if name not in own and (name.endswith(".alpha") or name == "temperature")]
    if not added:
        return ()
    message = (
        f"the file does not say where it came from, and its {', '.join(added[:3])}{', …' if added[3:] else ''} "
        "was taken for what Afternorm adds in tuning: the weight α of each example, and the temperature that divides "
        "the logits. If these are parameters of your own, name the architecture that has them."
    )
    return (Finding(code="taken-as-tuned", severity="warning", message=message),)


def prepare_(model: nn.Module, state: Mapping[str, Tensor], path: str) -> nn.Module:
    """Give ``model`` the places for what tuning added to its ``state``: ``<site>.alpha``, ``temperature``."""
    for site in find_sites(model):
        stored = next((state[key] for name in site.names if (key := f"{name}.alpha") in state), None)
        if stored is None:
            continue
        if site.obstacle:
            raise ModelError(f"{path} weighs examples at {site.name}, which cannot: {site.obstacle}.")
        model = weigh_examples_(model, [site], 0.0)
        layer = model.get_submodule(site.name)
        try:
            layer.alpha = stored
        except ValueError as error:
            raise ModelError(f"{path} cannot be opened: at {site.name}, {error}.") from None
    if "temperature" in state and "temperature" not in model.state_dict():
        divide_after_(model, 1.0)
    return model


def _take_logits_again_(model: nn.Module, taken: Taken, path: str, architecture: str) -> None:
    """Make ``model`` put out logits as the network of the tuned file does, which was made from one of probabilities."""
    try:
        retake_logits_(model, taken)
    except AttributeError:
        raise ModelError(
            f"{path} was tuned without the {taken.link} {taken.module} that the network ended in, and {architecture} "
            "has no such module; give the architecture that it was tuned from."
        ) from None


def _given(model: nn.Module, architecture: str | None, provenance: Provenance | None) -> tuple[str, dict[str, Any]]:
    """What a network that the caller built is called."""
    if not isinstance(model, nn.Module):
        raise UsageError(f"`model` is {type(model).__name__}; give a torch.nn.Module of the class that was tuned.")
    if architecture is not None:
        raise UsageError("`architecture` and `model` were both given, and each says what to build; give one.")
    name = f"{type(model).__module__}:{type(model).__qualname__}"
    return name, {} if provenance is None else dict(provenance.architecture_args)


def _architecture(
    path: str, given: str | None, given_args: Mapping[str, Any] | None, provenance: Provenance | None
) -> tuple[str, dict[str, Any]]:
    if given is not None:
        if provenance is not None and given != provenance.architecture:
            raise ModelError(
                f"{path} was tuned as {provenance.architecture}, and cannot be opened as {given}; "
                "leave --architecture out, or pass the one it names."
            )
        inherited = provenance.architecture_args if provenance is not None else {}
        return given, dict(inherited if given_args is None else given_args)
    if provenance is None:
        raise UsageError(
            f"{path} does not say which of the architectures that can be built here its weights are of; name it: "
            "--architecture torchvision/resnet50, timm/efficientnet_lite0, cifar/resnet56 or package.module:factory."
        )
    if ":" in provenance.architecture:
        raise UsageError(
            f"{path} names the factory {provenance.architecture}, which is code, and code is never run because a file "
            f"says so; if you trust it, pass --architecture {provenance.architecture}, or from Python a network of "
            "that class: open_model(path, model=network)."
        )
    return provenance.architecture, dict(provenance.architecture_args)


def model_facts(model: nn.Module, outputs: int, architecture: str, architecture_args: Mapping[str, Any]) -> ModelFacts:
    """What a result says of the original network."""
    return ModelFacts(
        architecture=architecture or f"{type(model).__module__}:{type(model).__qualname__}",
        architecture_args=dict(architecture_args),
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        outputs=outputs,
        dtype=str(input_dtype(model)).removeprefix("torch."),
        fingerprint=fingerprint(model.state_dict()),
    )
