"""The options that describe streams and methods, and how they become the step of a recipe. No torch here."""

from typing import Annotated, Any

import typer

from calibrate.cli.options import given
from calibrate.errors import UsageError, meant
from calibrate.recipe import Recipe
from calibrate.steps import METHODS, Adapt, Domain, Measure, Method, ProbeAdaptation, Stream, Temperature

Methods = Annotated[
    str | None,
    typer.Option(
        help="Methods with their defaults, separated by commas; `afternorm methods` lists them.", show_default=False
    ),
]
Keep = Annotated[
    str | None,
    typer.Option(help="Let this method learn from the calibration half, and write the network.", show_default=False),
]
Order = Annotated[
    str | None,
    typer.Option(help="shuffled, class_sorted, correlated, mixed or recurring.", show_default=False),
]
StreamBatch = Annotated[int | None, typer.Option(min=1, help="Examples that come together.", show_default=False)]
Domains = Annotated[
    str | None,
    typer.Option(help="What the stream shows, such as 'as-is,fog:5'.", show_default=False),
]
Concentration = Annotated[
    float | None, typer.Option(help="Of correlated classes: the smaller, the more they cluster.", show_default=False)
]
Cycles = Annotated[int | None, typer.Option(min=2, help="Of recurring domains.", show_default=False)]
Episodic = Annotated[bool, typer.Option("--episodic", help="Meet every batch with the original network.")]
Seeds = Annotated[int | None, typer.Option(min=1, help="Orders of the stream.", show_default=False)]
Samples = Annotated[int | None, typer.Option(min=1, help="At most so many examples.", show_default=False)]

#: What --domains calls the data as they are.
AS_IS = "as-is"


def adaptation_recipe(
    methods: str | None, keep: str | None, stream: Stream | None, seeds: int | None, samples: int | None
) -> Recipe:
    """The recipe that compares ``methods`` on ``stream``, or that keeps what one of them learns from it.

    What is None has the step's default.
    """
    if keep is not None:
        if methods is not None or seeds is not None or samples is not None:
            raise UsageError(
                "--keep lets one method learn from one stream, and --methods, --seeds and --samples compare several; "
                "leave them out, or leave --keep out."
            )
        fields = {"method": _method(keep.strip()), **({} if stream is None else {"stream": stream})}
        return Recipe(steps=(given(Adapt, fields, "--keep"), Temperature(), Measure()))
    named: dict[str, Any] = {"seeds": seeds}
    if samples is not None:
        named["max_samples"] = samples
    if methods is not None:
        named["methods"] = [_method(name.strip()) for name in methods.split(",")]
    if stream is not None:
        named["streams"] = [stream]
    wanted = {name: value for name, value in named.items() if value is not None}
    return Recipe(steps=(given(ProbeAdaptation, wanted, "--methods"),))


def stream_of(
    order: str | None,
    batch_size: int | None,
    domains: str | None,
    concentration: float | None,
    cycles: int | None,
    *,
    episodic: bool,
) -> Stream | None:
    """The stream that the options describe; None where none of them is given."""
    fields = {
        "order": order,
        "batch_size": batch_size,
        "domains": None if domains is None else domains_of(domains, "--domains"),
        "concentration": concentration,
        "cycles": cycles,
        "episodic": episodic or None,
    }
    wanted = {name: value for name, value in fields.items() if value is not None}
    return given(Stream, wanted, "the stream") if wanted else None


def domains_of(names: str, option: str) -> list[Domain]:
    """The domains that ``names``, separated by commas, call for."""
    return [_domain(name.strip(), option) for name in names.split(",")]


def _domain(name: str, option: str) -> Domain:
    if name == AS_IS:
        return Domain()
    corruption, _, severity = name.partition(":")
    return given(Domain, {"corruption": corruption, "severity": severity or "5"}, f"{option} {name}")


def _method(name: str) -> Method:
    if name not in METHODS:
        raise UsageError(
            f"there is no adaptation method {name!r}{meant(name, METHODS)}; choose of {', '.join(METHODS)}."
        )
    return METHODS[name]
