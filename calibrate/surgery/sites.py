"""Sites: the normalisation layers of a network, each with all its names."""

from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from torch import nn
from torch.nn.parameter import is_lazy

from calibrate.errors import ModelError, UsageError, require_kind
from calibrate.surgery.kinds import channels, is_normalization, needs_moments, obstacle
from calibrate.surgery.recognised import holds_statistics

#: Why GroupNorm layers stay as they are where BatchNorm layers are weighed.
BESIDE_BATCH_NORM = (
    "it is a GroupNorm beside BatchNorm layers; it was trained as at α = 1, they as at α = 0, and one α does not fit "
    "both, so to weigh it add a step whose `sites` match GroupNorm layers alone"
)


@dataclass(frozen=True, slots=True, eq=False)
class Site:
    """One batch or group normalisation layer; a layer used in several places has several names.

    ``obstacle`` says why the layer must stay as it is, or is empty.
    """

    names: tuple[str, ...]
    module: nn.Module
    obstacle: str

    @property
    def name(self) -> str:
        """The first name, in the order of the network's definition."""
        return self.names[0]

    @property
    def channels(self) -> int:
        """The number of channels that the layer takes."""
        return channels(self.module)

    @property
    def is_group_norm(self) -> bool:
        """Whether the layer was trained to normalise each example by its own statistics alone."""
        return isinstance(self.module, nn.GroupNorm)


def find_sites(model: nn.Module) -> tuple[Site, ...]:
    """Every batch or group normalisation layer of ``model``, in the order of its definition.

    >>> [site.names for site in find_sites(nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3)))]
    [('1',)]
    """
    require_kind(model, nn.Module, "model", "a torch.nn.Module, such as `open_model(path, architecture).model`")
    unsized = [name for name, place in (*model.named_parameters(), *model.named_buffers()) if is_lazy(place)]
    if unsized:
        raise ModelError(
            f"the network has lazy modules whose sizes are not known yet: {unsized[0]} and {len(unsized) - 1} more "
            "tensors have no shape. Run it once on an example, in its factory, or open a checkpoint that has them all."
        )
    names: dict[nn.Module, list[str]] = {}
    for name, module in model.named_modules(remove_duplicate=False):
        if is_normalization(module):
            names.setdefault(module, []).append(name)
    return tuple(Site(tuple(all_names), module, obstacle(module)) for module, all_names in names.items())


def select(sites: Sequence[Site], patterns: Sequence[str], called: Container[str] | None = None) -> tuple[Site, ...]:
    """The sites one of whose names matches one of the shell-style ``patterns``, and that nothing stands in the way of.

    Only those whose first name is among the ``called``, where that is known: then there may be none. GroupNorm layers
    are among them only where they are alone: see :func:`passed_over`.

    Raises ModelError when the network has no site to change, UsageError for a pattern that matches no site.
    """
    if not sites:
        raise ModelError(
            "the network has no batch normalisation layers, so there are no statistics to weigh an example against. "
            "Use the recipe `temperature`, which works on any classifier."
        )
    chosen = matching(sites, patterns)
    usable = tuple(site for site in chosen if not site.obstacle)
    if not usable:
        raise ModelError(
            f"none of the {len(chosen)} matching normalisation layers can weigh an example; the first, "
            f"{chosen[0].name}, because {chosen[0].obstacle}. Use the recipe `temperature`, which works on any "
            "classifier."
        )
    if called is not None:
        usable = tuple(site for site in usable if site.name in called)
    return tuple(site for site in usable if not site.is_group_norm) or usable


def passed_over(
    sites: Sequence[Site], patterns: Sequence[str], called: Container[str] | None = None
) -> tuple[Site, ...]:
    """The GroupNorm layers that match, and that :func:`select` leaves because BatchNorm layers match too.

    >>> sites = find_sites(nn.Sequential(nn.BatchNorm2d(4), nn.GroupNorm(2, 4)))
    >>> [[site.name for site in part(sites, ["*"])] for part in (select, passed_over)]
    [['0'], ['1']]
    """
    chosen = select(sites, patterns, called)
    beside = tuple(site for site in matching(sites, patterns) if site.is_group_norm and not site.obstacle)
    return tuple(site for site in beside if site not in chosen and (called is None or site.name in called))


def with_statistics(sites: Sequence[Site], patterns: Sequence[str]) -> tuple[Site, ...]:
    """The sites that match, and that keep running statistics of their own input.

    Raises ModelError when there is none, UsageError for a pattern that matches no site.

    >>> sites = find_sites(nn.Sequential(nn.BatchNorm2d(4), nn.GroupNorm(2, 4)))
    >>> [site.name for site in with_statistics(sites, ["*"])]
    ['0']
    """
    chosen = matching(sites, patterns)
    keeping = keeping_statistics(chosen)
    if not keeping:
        why = "no layer of it keeps running statistics of what comes in"
        if chosen:
            why = f"none of its {len(chosen)} matching normalisation layers keeps running statistics of what comes in"
        if blocked := [site for site in chosen if site.obstacle and holds_statistics(site.module)]:
            why = (
                f"of its {len(chosen)} matching normalisation layers {len(blocked)} hold running statistics and are "
                f"left alone; the first, {blocked[0].name}, because {blocked[0].obstacle}"
            )
        raise ModelError(
            f"the network has nothing to re-estimate: {why}. Leave the step out, or choose other layers with `sites`."
        )
    return keeping


def keeping_statistics(sites: Sequence[Site]) -> tuple[Site, ...]:
    """The sites that keep running statistics of their own input."""
    return tuple(site for site in sites if not site.obstacle and not needs_moments(site.module))


def matching(sites: Sequence[Site], patterns: Sequence[str]) -> tuple[Site, ...]:
    """The sites one of whose names matches one of ``patterns``; UsageError for a pattern that matches none of them."""
    chosen: set[Site] = set()
    if not sites:
        return ()
    for pattern in patterns:
        found = [site for site in sites if any(fnmatchcase(name, pattern) for name in site.names)]
        if not found:
            shown = ", ".join(site.name for site in sites[:5])
            raise UsageError(
                f"the site pattern {pattern!r} matches none of the network's {len(sites)} normalisation layers "
                f"({shown}{', ...' if len(sites) > 5 else ''}); `afternorm inspect` lists them all."
            )
        chosen.update(found)
    return tuple(site for site in sites if site in chosen)


#: Layers as sites, as name patterns (as in shell globs), or all that there are.
SiteChoice = Sequence[Site] | Sequence[str] | None


def chosen_sites(
    model: nn.Module, sites: SiteChoice, fit: Callable[[Sequence[Site]], tuple[Site, ...]]
) -> tuple[Site, ...]:
    """``sites`` themselves; or those of all layers of ``model``, or of those that the patterns name, that ``fit``.

    Raises UsageError for a pattern that matches no layer, and for what is neither.
    """
    if sites is None:
        return fit(find_sites(model))
    if isinstance(sites, str):
        sites = (sites,)
    given = [site for site in sites if isinstance(site, Site)]
    patterns = tuple(site for site in sites if isinstance(site, str))
    if len(given) + len(patterns) < len(sites):
        raise UsageError(f"sites is {sites!r}; give name patterns such as ['layer1.*'], or what find_sites returns.")
    return (*given, *(fit(matching(find_sites(model), patterns)) if patterns else ()))
