"""Checks whether time budgets are kept: asks about pictures of random sizes, and times the first token.

    python benchmarks/budgets.py [BUNDLE] [--budgets 60,120,250] [--sizes 50]

A plan with `within_budget` promises that the first token comes within the budget. The exit code
is 1 if, in fewer than 95 % of these cases, the first token came within 120 % of the budget. Run
it on a machine that does nothing else.
"""

from __future__ import annotations

import statistics
import sys
from dataclasses import dataclass

import click
import numpy as np

from uhd_edge.runtime import Assistant
from uhd_edge.runtime.answer import Plan

SEED = 20
KEPT = 1.2
SHARE = 0.95


@dataclass(frozen=True)
class Run:
    """One question: its plan, and the milliseconds to the first token."""

    budget: float
    taken: float
    plan: Plan


def ask_all(assistant: Assistant, budgets: list[float], sizes: int) -> list[Run]:
    """Ask about every size within every budget. Each picture is new, so that no view comes from the cache."""
    random = np.random.default_rng(SEED)
    runs = []
    for _ in range(sizes):
        width, height = (int(side) for side in random.integers(100, 1601, 2))
        for budget in budgets:
            picture = random.integers(0, 256, (height, width, 3), dtype=np.uint8)
            answer = assistant.ask(picture, "Describe the scene.", max_tokens=1, budget_ms=budget)
            if answer.plan is None:
                raise click.ClickException("the context is too small for these sizes")
            runs.append(Run(budget, answer.timings_ms["first_token"], answer.plan))
    return runs


def report(budget: float, runs: list[Run]) -> str:
    """One line: how many promises were made and kept, and the first tokens in percent of budget and prediction."""
    promised = [run for run in runs if run.plan.within_budget]
    if not promised:
        return f"{budget:8.0f} {len(runs):5} {0:9}"
    times = [100 * run.taken / budget for run in promised]
    ratios = [100 * run.taken / run.plan.predicted_ms for run in promised]
    kept = sum(run.taken <= budget for run in promised)
    nearly = sum(run.taken <= KEPT * budget for run in promised)
    views = statistics.median(run.plan.views for run in promised)
    return (
        f"{budget:8.0f} {len(runs):5} {len(promised):9} {kept:6} {nearly:8}   {_spread(times)}   {_spread(ratios)}"
        f"   {views:5.0f}"
    )


def _spread(values: list[float]) -> str:
    """Lowest value, median, 95th percentile and highest value."""
    return "  ".join(f"{value:4.0f}" for value in np.percentile(values, (0, 50, 95, 100)))


@click.command()
@click.argument("bundle", required=False)
@click.option("--budgets", default="60,120,250", show_default=True, help="Milliseconds, separated by commas.")
@click.option("--sizes", default=50, show_default=True, help="Number of random sizes.")
def main(bundle: str | None, budgets: str, sizes: int) -> None:
    """Time the first token of questions with a budget."""
    milliseconds = [float(budget) for budget in budgets.split(",")]
    with Assistant(bundle) as assistant:
        assistant.measure(lambda step: click.echo(step, err=True))
        runs = ask_all(assistant, milliseconds, sizes)
    click.echo("                                           first token in %          first token in %")
    click.echo("                                             of the budget           of the prediction     median")
    click.echo("  budget  runs  promised   kept  to 120 %  min   med   95%   max   min   med   95%   max    views")
    for budget in milliseconds:
        click.echo(report(budget, [run for run in runs if run.budget == budget]))
    promised = [run for run in runs if run.plan.within_budget]
    share = sum(run.taken <= KEPT * run.budget for run in promised) / max(1, len(promised))
    click.echo(f"{100 * share:.1f} % of {len(promised)} promises kept within 120 % of the budget")
    sys.exit(share < SHARE)


if __name__ == "__main__":
    main()
