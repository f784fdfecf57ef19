"""Checks whether time budgets are kept: asks about pictures of random sizes, and times the first token.

    python benchmarks/budgets.py [BUNDLE] [--budgets 60,120,250] [--sizes 100] [--busy]

A plan with `within_budget` promises that the first token comes within the budget. The table shows
how many promises were made and kept, and how many a fixed margin of 20 % on the measured costs
would have made. The exit code is 1 if, for one budget, fewer than 95 % of the promises were kept, or
promises were made for fewer than 90 % of the questions with one by the fixed margin. With `--busy`,
another process keeps one core busy once the machine has been measured.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import click
import numpy as np
from numpy.typing import NDArray

from uhd_edge.runtime import Assistant
from uhd_edge.runtime.answer import Plan
from uhd_edge.runtime.budget.planning import list_plans
from uhd_edge.runtime.conversation.new_images import decode_images
from uhd_edge.runtime.conversation.turns import Conversation, Question
from uhd_edge.runtime.options import parse_request

SEED = 20
QUESTION = "Describe the scene."
FIXED_MARGIN = 1.2
KEPT, GIVEN = 0.95, 0.9


@dataclass(frozen=True)
class Run:
    """One question: its plan, and the milliseconds to the first token.

    `fixed` says whether a fixed margin on the costs promises the budget.
    """

    budget: float
    taken: float
    plan: Plan
    fixed: bool


def ask_all(assistant: Assistant, budgets: list[float], sizes: int) -> list[Run]:
    """Ask about every size within every budget. Each picture is new, so that no view comes from the cache."""
    random = np.random.default_rng(SEED)
    runs = []
    for _ in range(sizes):
        width, height = (int(side) for side in random.integers(100, 1601, 2))
        for budget in budgets:
            picture = random.integers(0, 256, (height, width, 3), dtype=np.uint8)
            least = least_costs(assistant, picture)
            answer = assistant.ask(picture, QUESTION, max_tokens=1, budget_ms=budget)
            if answer.plan is None:
                raise click.ClickException("the context is too small for these sizes")
            decode = answer.timings_ms["decode"]
            fixed = decode + FIXED_MARGIN * least <= budget
            runs.append(Run(budget, answer.timings_ms["first_token"], answer.plan, fixed))
    return runs


def least_costs(assistant: Assistant, picture: NDArray[np.uint8]) -> float:
    """Return what the quickest way to look at a picture costs in milliseconds, as the machine was measured."""
    planner = assistant._places[0].planner  # the costs alone are nobody else's business
    request = parse_request(picture, QUESTION, {}, mode="16x", modes=("16x", "4x"), max_slices=None)
    question = Question(request, decode_images(request.images, planner.manifest), Conversation())
    costs = planner.measure(tuple(planner.manifest.graphs))
    return min(plan.predicted_ms for plan in list_plans(question, costs, planner.manifest, planner.model))


def report(budget: float, runs: list[Run]) -> str:
    """One line: how many promises were made and kept, and the first tokens in percent of budget and prediction."""
    promised = [run for run in runs if run.plan.within_budget]
    counts = f"{budget:8.0f} {len(runs):5} {sum(run.fixed for run in runs):6} {len(promised):9}"
    if not promised:
        return counts
    times = [100 * run.taken / budget for run in promised]
    ratios = [100 * run.taken / run.plan.predicted_ms for run in promised]
    kept = sum(run.taken <= budget for run in promised)
    views = statistics.median(run.plan.views for run in promised)
    return f"{counts} {kept:6}   {_spread(times)}   {_spread(ratios)}   {views:5.0f}"


def is_good(runs: list[Run]) -> bool:
    """Whether enough promises were kept, and enough given of those that a fixed margin gives."""
    promised = [run for run in runs if run.plan.within_budget]
    kept = sum(run.taken <= run.budget for run in promised)
    fixed = [run for run in runs if run.fixed]
    given = sum(bool(run.plan.within_budget) for run in fixed)
    return kept >= KEPT * len(promised) and given >= GIVEN * len(fixed)


def _spread(values: list[float]) -> str:
    """Lowest value, median, 95th percentile and highest value."""
    return "  ".join(f"{value:4.0f}" for value in np.percentile(values, (0, 50, 95, 100)))


@contextmanager
def busy_core(wanted: bool) -> Iterator[None]:
    """Keep one core busy with another process."""
    if not wanted:
        yield
        return
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as process:
        try:
            yield
        finally:
            process.kill()


@click.command()
@click.argument("bundle", required=False)
@click.option("--budgets", default="60,120,250", show_default=True, help="Milliseconds, separated by commas.")
@click.option("--sizes", default=100, show_default=True, help="How many sizes to draw.")
@click.option("--busy", is_flag=True, help="Keep one core busy meanwhile.")
def main(bundle: str | None, budgets: str, sizes: int, *, busy: bool) -> None:
    """Time first tokens within budgets."""
    milliseconds = [float(budget) for budget in budgets.split(",")]
    with Assistant(bundle) as assistant:
        assistant.measure(lambda step: click.echo(step, err=True))
        with busy_core(busy):
            runs = ask_all(assistant, milliseconds, sizes)
    click.echo("              promised with               first token in %          first token in %")
    click.echo("                a fixed                     of the budget           of the prediction     median")
    click.echo("  budget  runs   margin  promised   kept   min   med   95%   max   min   med   95%   max    views")
    by_budget = [[run for run in runs if run.budget == budget] for budget in milliseconds]
    for budget, of_budget in zip(milliseconds, by_budget, strict=True):
        click.echo(report(budget, of_budget))
    sys.exit(not all(map(is_good, by_budget)))


if __name__ == "__main__":
    main()
