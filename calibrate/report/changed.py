"""What the tuned network does differently, in words."""

from calibrate.page import format as fmt
from calibrate.page.section import Section
from calibrate.result import Changes, SiteSummary, Summary

NO_ALPHA = "none"


def network_section(summary: Summary) -> Section:
    """What the steps changed besides α, the α and T that the network has now, and its layers by kind."""
    changes, parts = summary.changes, summary.tuned_parts
    tuned = (("changed", fmt.printable("; ".join(parts))),) if parts else ()
    facts = (*tuned, ("α", alpha_words(changes)), ("T", temperature_words(changes)))
    return Section("The network after the recipe", facts=facts, points=site_groups(changes))


def alpha_words(changes: Changes) -> str:
    """The α the tuned network computes with: one number, the range over its sites and channels, or none."""
    return _span(changes.alphas) if changes.alphas else NO_ALPHA


def temperature_words(changes: Changes) -> str:
    """T, and where it went."""
    temperature = fmt.short(changes.temperature)
    if changes.temperature == 1:
        return f"{temperature}: the logits keep their scale"
    if changes.temperature_folded_into is None:
        return f"{temperature}: the logits are divided by it"
    return f"{temperature}: folded into the weights of {fmt.printable(changes.temperature_folded_into)}"


def site_groups(changes: Changes) -> tuple[str, ...]:
    """The sites counted by kind and note, in order of first appearance, with the α's of each group."""
    groups: dict[tuple[str, bool, str], list[SiteSummary]] = {}
    for site in changes.sites:
        groups.setdefault((site.kind, site.alpha is None, site.note), []).append(site)
    return tuple(
        f"{len(sites)} × {fmt.printable(kind)}: α {_alpha_of(sites)}" + (f" ({fmt.printable(note)})" if note else "")
        for (kind, _, note), sites in groups.items()
    ) or ("none: the network has no normalisation layers",)


def _alpha_of(sites: list[SiteSummary]) -> str:
    values = tuple(value for site in sites for value in site.alphas)
    return _span(values) if values else "none"


def _span(values: tuple[float, ...]) -> str:
    low, high = fmt.short(min(values)), fmt.short(max(values))
    return low if low == high else f"{low} to {high}"
