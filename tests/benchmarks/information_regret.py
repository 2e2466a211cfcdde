"""Regret of λ chosen without labels: by the mutual information of image and prediction, against λ chosen by labels.

    python -m tests.benchmarks.information_regret

It reads the cells of ``tests/benchmarks/gains.py`` and prints a markdown table. Numbers are the NLL on the half held
out, after T, minus T's alone. The regret is that of mutual information minus that of labels; labels fit T in both. The
last columns are of the same search without a margin: where it takes new statistics and the margin keeps the stored
ones, the margin has kept it from harm if its NLL there is above T's, and from a gain if it is below.
"""

from tests.benchmarks.gains import FOLDER, ROWS, Cell, Cells, number, read_cells

STORED = (1.0, 1.0)
HEAD = (
    "network and images",
    "λ by labels",
    "NLL",
    "λ by mutual information",
    "NLL",
    "regret",
    "λ without a margin",
    "NLL",
    "what the margin did",
)


def mix(cell: Cell) -> str:
    """The λ that a search took, of all layers or of the first and the last."""
    assert cell.mix is not None, f"{cell.row}.{cell.recipe} searches no λ"
    first, last = cell.mix
    return f"{first:.3g}" if first == last else f"{first:.3g} → {last:.3g}"


def change(cell: Cell) -> float:
    """The NLL minus T's; 0 where nothing changed."""
    return cell.against_t["nll"].value if cell.against_t else 0.0


def words(cell: Cell) -> str:
    """The change with its interval."""
    if cell.against_t is None:
        return "0"
    nll = cell.against_t["nll"]
    return f"{number(nll.value, 3, '+')} [{number(nll.low, 3, '+')}, {number(nll.high, 3, '+')}]"


def margins_work(guarded: Cell, unguarded: Cell) -> str:
    """What the margin did: nothing, kept from harm, or kept from a gain."""
    if guarded.mix == unguarded.mix:
        return "nothing"
    difference = change(guarded) - change(unguarded)
    return f"{'kept from harm' if difference < 0 else 'cost a gain'}, {number(abs(difference), 3)}"


def table(cells: Cells) -> str:
    """One line for each row that has all three cells, and the count below."""
    lines = [f"| {' | '.join(HEAD)} |", "|---" * len(HEAD) + "|"]
    regrets, harmed, works = list[float](), list[str](), list[str]()
    for row in ROWS:
        found = [cells.get((row.name, name)) for name in ("statistics", "information", "information-unguarded")]
        labels, guarded, unguarded = found
        if labels is None or guarded is None or unguarded is None:
            continue
        regrets.append(change(guarded) - change(labels))
        works.append(margins_work(guarded, unguarded))
        harmed += [row.name] if guarded.verdict == "worse" else []
        entries = (mix(labels), words(labels), mix(guarded), words(guarded), number(regrets[-1], 3, "+"))
        lines.append(f"| {row} | {' | '.join(entries)} | {mix(unguarded)} | {words(unguarded)} | {works[-1]} |")
    if regrets:
        kept = sum(work.startswith("kept") for work in works)
        cost = sum(work.startswith("cost") for work in works)
        lines.append(
            f"\n{len(regrets)} rows: mean regret {number(sum(regrets) / len(regrets), 3, '+')}, largest "
            f"{number(max(regrets), 3, '+')}; worse than T alone: {', '.join(harmed) or 'none'}. "
            f"The margin kept from harm {kept} times, cost a gain {cost} times, did nothing the other times."
        )
    return "\n".join(lines)


def main() -> None:
    print(table(read_cells(FOLDER)))


if __name__ == "__main__":
    main()
