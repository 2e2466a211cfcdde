"""What the tuned network does differently, in words."""

from collections import Counter

from calibrate.page import format as fmt
from calibrate.result import Changes, SiteSummary

NO_ALPHA = "none: normalisation as it came"


def alpha_words(changes: Changes) -> str:
    """The α the tuned network computes with: one number, the range over its sites and channels, or none."""
    values = [value for site in changes.sites for value in _alphas(site)]
    return _span(values) if values else NO_ALPHA


def temperature_words(changes: Changes) -> str:
    """T, and where it went."""
    temperature = fmt.short(changes.temperature)
    if changes.temperature == 1:
        return f"{temperature}: the logits keep their scale"
    if changes.temperature_folded_into is None:
        return f"{temperature}: the logits are divided by it"
    return f"{temperature}: folded into the weights of {fmt.printable(changes.temperature_folded_into)}"


def site_cells(site: SiteSummary) -> tuple[str, ...]:
    """All names of one site (a tied layer has several), its kind, channels, α and note."""
    names = ", ".join(fmt.printable(name) for name in site.names)
    return names, fmt.printable(site.kind), fmt.count(site.channels), _site_alpha(site), fmt.printable(site.note)


def site_groups(changes: Changes) -> tuple[str, ...]:
    """The sites counted by kind, α and note, in order of first appearance."""
    groups = Counter((site.kind, _site_alpha(site), site.note) for site in changes.sites)
    return tuple(
        f"{number} × {fmt.printable(kind)}: α {alpha}" + (f" ({fmt.printable(note)})" if note else "")
        for (kind, alpha, note), number in groups.items()
    ) or ("none: the network has no normalisation layers",)


def _site_alpha(site: SiteSummary) -> str:
    return "none" if site.alpha is None else _span(_alphas(site))


def _alphas(site: SiteSummary) -> tuple[float, ...]:
    if site.alpha is None:
        return ()
    return site.alpha if isinstance(site.alpha, tuple) else (site.alpha,)


def _span(values: tuple[float, ...] | list[float]) -> str:
    low, high = fmt.short(min(values)), fmt.short(max(values))
    return low if low == high else f"{low} to {high}"
