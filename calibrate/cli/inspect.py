"""``afternorm inspect``: what is in a network, and what could be tuned."""

import json
from typing import TYPE_CHECKING, Annotated

import typer

from calibrate.cli import options
from calibrate.cli.console import say
from calibrate.errors import UsageError
from calibrate.recipe import Recipe, RunSettings
from calibrate.request import RunRequest
from calibrate.steps import NotApplicable, ProbeInputFit

if TYPE_CHECKING:
    from calibrate.engine import Inspection, Opened
    from calibrate.result import SiteSummary


def inspect_command(
    model: options.ModelPath,
    architecture: options.Architecture = None,
    architecture_args: options.ArchitectureArgs = None,
    weights: options.Weights = None,
    data: Annotated[
        str | None,
        typer.Option(help="Also check how these data are prepared; as for other commands.", show_default=False),
    ] = None,
    classes: options.Classes = None,
    class_map: options.ClassMap = None,
    split: options.SplitName = None,
    skip_broken: options.SkipBroken = 0,
    preprocessing: options.PreprocessingText = None,
    batch_size: options.BatchSize = None,
    device: options.Device = "auto",
    threads: options.Threads = None,
    as_json: options.AsJson = False,
) -> None:
    """List the normalisation layers of a network, what may be done to them and, in a tuned file, what was.

    With data also whether these are prepared as the network was trained.
    """
    from calibrate.engine import inspect_model, open_model, open_run

    if data is None:
        if (classes, class_map, preprocessing, split, skip_broken) != (None, None, None, None, 0):
            raise UsageError(
                "--classes, --class-map, --split, --skip-broken and --preprocessing say how data are read; add --data."
            )
        arguments = options.mapping(architecture_args, "--architecture-args")
        opened = open_model(model, architecture, arguments, weights=weights)
        found = inspect_model(opened)
    else:
        request = RunRequest(
            **options.model_on_data(
                model=model,
                architecture=architecture,
                architecture_args=architecture_args,
                weights=weights,
                classes=classes,
                class_map=class_map,
                preprocessing_text=preprocessing,
                split=split,
                skip_broken=skip_broken,
            ),
            data=data,
            recipe=Recipe(steps=(ProbeInputFit(),)),
            settings=RunSettings(batch_size=batch_size, device=device, threads=threads),
        )
        run = open_run(request, None)
        opened, found = run.opened, inspect_model(run.opened, run.plan.given)
    say(json.dumps(_fields(opened, found), indent=2) if as_json else _text(opened, found))


def _fields(opened: "Opened", found: "Inspection") -> dict[str, object]:
    positions = found.look.positions if found.look else {}
    return {
        "architecture": opened.architecture,
        "architecture_args": opened.architecture_args,
        "parameters": found.parameters,
        "dtype": found.dtype,
        "fingerprint": found.fingerprint,
        "weights": opened.weights,
        "other_weights": opened.other_weights,
        "outputs": found.look.outputs if found.look else None,
        "preprocessing": found.preprocessing.model_dump() if found.preprocessing else None,
        "sites": [{**site.model_dump(), "positions": positions.get(site.names[0])} for site in found.sites],
        "input_fit": found.input_fit.model_dump(mode="json") if found.input_fit else None,
        "findings": [finding.model_dump() for finding in found.findings],
        "health": [condition.model_dump() for condition in found.health],
        "tuned": opened.provenance.model_dump(mode="json") if opened.provenance else None,
    }


def _text(opened: "Opened", found: "Inspection") -> str:
    outputs = ""
    if found.look:
        outputs = f", {found.look.outputs} outputs" if found.look.outputs else ", outputs that are no logits"
    lines = [
        f"{opened.architecture}: {found.parameters:,} parameters, {found.dtype}{outputs}",
        f"weights {found.fingerprint[:16]}{f', under {opened.weights}' if opened.weights else ''}",
    ]
    if found.preprocessing is not None:
        lines.append(f"preprocessing {found.preprocessing.short}")
    if opened.provenance is not None:
        lines.append(
            f"tuned with recipe {opened.provenance.recipe_digest[:16]}, T = {opened.provenance.temperature:.4g}"
        )
    fit = found.input_fit
    if isinstance(fit, NotApplicable):
        lines.append(f"input fit: not checked, because {fit.reason}")
    elif fit is not None and not fit.misfits:
        lines.append(fit.words())
    findings = [f"{item.severity}: {item.message} ({item.code})" for item in found.findings]
    if not found.sites:
        lines.append("no batch normalisation layers: only the temperature can be tuned (--recipe temperature)")
        return "\n".join((*lines, *findings))
    lines.append(f"{len(found.sites)} normalisation layers:")
    positions = found.look.positions if found.look else {}
    width = max(len(" = ".join(site.names)) for site in found.sites)
    lines += [_line(site, width, positions.get(site.names[0])) for site in found.sites]
    if all(site.note for site in found.sites):
        lines.append("none of them can weigh an example: only the temperature can be tuned (--recipe temperature)")
    return "\n".join((*lines, *findings))


def _line(site: "SiteSummary", width: int, positions: int | None) -> str:
    line = f"  {' = '.join(site.names):<{width}}  {site.kind:<24} {site.channels:>5} channels"
    if positions is not None:
        line += f" {positions:>6} positions"
    if isinstance(site.alpha, float):
        line += f"  α = {site.alpha:g}"
    elif site.alpha is not None:
        line += f"  α per channel, {min(site.alpha):g} to {max(site.alpha):g}"
    elif site.kind.startswith("GroupNorm") and not site.note:
        line += "  as at α = 1; moments for α < 1 are estimated first"
    if site.note:
        line += f"  cannot be tuned: {site.note}"
    elif positions == 1 and "GroupNorm" not in site.kind:
        line += "  sees one position, so at α = 1 it would put out a constant"
    return line
