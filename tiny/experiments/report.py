"""Print the tables of what the runs saw, and draw a plot: `python -m uhd_edge.tiny.experiments.report --plot FILE`.

Reads the files of finished rows and `times.json`. The tables are those of docs/paper-tables.md.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from uhd_edge.tiny.experiments.rows import ROWS, TABLES
from uhd_edge.tiny.experiments.run import RUNS
from uhd_edge.tiny.experiments.times import TIMES
from uhd_edge.tiny.world.questions import MEASURED_KINDS

# Of Student's t, two-sided 95 %, by the number of seeds.
STUDENT = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776}
ALL = "all"


@dataclass(frozen=True)
class Spread:
    """A mean over seeds, in percent, and half of its 95 % interval; None with one seed alone."""

    mean: float
    half: float | None

    def __str__(self) -> str:
        return f"{self.mean:.1f}" if self.half is None else f"{self.mean:.1f} ± {self.half:.1f}"


def spread(values: list[float]) -> Spread:
    """The mean of some seeds' values and its interval, by Student's t."""
    half = None
    if len(values) in STUDENT:
        half = STUDENT[len(values)] * statistics.stdev(values) / math.sqrt(len(values))
    return Spread(statistics.fmean(values), half)


def read_runs(runs: Path) -> dict[str, dict[int, dict[str, float]]]:
    """By row and seed, the percentage of right answers by kind, in all, and of the characters that are read."""
    found: dict[str, dict[int, dict[str, float]]] = {row.name: {} for row in ROWS}
    for file in sorted(runs.glob("*.jsonl")):
        result = json.loads(file.read_text(encoding="utf-8").splitlines()[-1])
        shares = {kind: 100 * right / asked for kind, (right, asked) in result["right"].items()}
        shares[ALL] = statistics.fmean(shares.values())
        found[result["row"]][result["seed"]] = shares | {"read": 100 * result["read"]["character"]}
    return found


def table(names: tuple[str, ...], runs: dict[str, dict[int, dict[str, float]]], times: dict[str, Any]) -> list[str]:
    """The lines of a table. The last column compares seeds that both rows have with the first row's."""
    kinds = [*MEASURED_KINDS, ALL]
    head = ["row", "seeds", *kinds, "against the first", "characters read", "ms", "MFLOP"]
    lines = [f"| {' | '.join(head)} |", "|---|" + "---:|" * (len(head) - 1)]
    first = runs[names[0]]
    for name in names:
        seeds, time = runs[name], times["rows"][name]
        if not seeds:
            continue
        shares = [str(spread([seed[kind] for seed in seeds.values()])) for kind in [*kinds, "read"]]
        apart = [seeds[seed][ALL] - first[seed][ALL] for seed in seeds if seed in first]
        against = "" if name == names[0] or not apart else f"{spread(apart)}"
        cells = [f"`{name}`", str(len(seeds)), *shares[:-1], against, shares[-1]]
        lines.append(f"| {' | '.join(cells)} | {time['ms']:.1f} | {time['mflop']:.0f} |")
    return lines


def tables(runs: dict[str, dict[int, dict[str, float]]], times: dict[str, Any]) -> str:
    """All tables, in Markdown."""
    lines: list[str] = []
    for title, names in TABLES.items():
        lines += [f"### {title}", "", *table(names, runs, times), ""]
    return "\n".join(lines)


def plot(runs: dict[str, dict[int, dict[str, float]]], times: dict[str, Any], target: Path) -> None:
    """Accuracy against measured milliseconds and against operations: a dot for every seed, a bar for the mean."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "uhd-edge"  # so that the same numbers give the same file
    mpl.rcParams["svg.fonttype"] = "none"  # text stays text, which is a tenth of the size
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 2, figsize=(11, 5), sharey=True)
    for axis, (key, label) in zip(axes, (("ms", "milliseconds a picture"), ("mflop", "MFLOP a picture")), strict=True):
        for number, (name, seeds) in enumerate(runs.items()):
            if not seeds:
                continue
            shares, place = [seed[ALL] for seed in seeds.values()], times["rows"][name][key]
            found, colour = spread(shares), pyplot.get_cmap("tab20")(number)
            axis.errorbar(place, found.mean, found.half, fmt="o", color=colour, capsize=3, label=name)
            axis.plot([place] * len(shares), shares, "_", color=colour)
        axis.set_xlabel(label)
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("answers right, %: mean of the kinds")
    axes[1].legend(loc="center left", bbox_to_anchor=(1.02, 0.5), frameon=False, fontsize=8)
    figure.tight_layout()
    figure.savefig(target, metadata={"Date": None})
    pyplot.close(figure)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=Path, default=RUNS)
    parser.add_argument("--times", type=Path, default=TIMES)
    parser.add_argument("--plot", type=Path, help="SVG file to draw accuracy against time and operations in")
    arguments = parser.parse_args()
    runs, times = read_runs(arguments.runs), json.loads(arguments.times.read_text(encoding="utf-8"))
    print(tables(runs, times))
    if arguments.plot:
        plot(runs, times, arguments.plot)


if __name__ == "__main__":
    main()
