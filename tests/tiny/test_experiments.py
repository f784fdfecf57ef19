"""A row of the experiments ends with the same bytes however often it is stopped, and begins like all others."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from support.places import ROOT

from uhd_edge.tiny.experiments import report, training
from uhd_edge.tiny.experiments.asking import Amount
from uhd_edge.tiny.experiments.rows import BEFORE, ROWS, TABLES, find_row
from uhd_edge.tiny.experiments.run import RUNS, Desk, claimed, run_row
from uhd_edge.tiny.experiments.start import save_start
from uhd_edge.tiny.experiments.times import TIMES, time_rows
from uhd_edge.tiny.experiments.training import RECIPE, Order, begin
from uhd_edge.tiny.experiments.world import ROW_KINDS
from uhd_edge.tiny.training.batches import Steps
from uhd_edge.tiny.training.reading import Reader
from uhd_edge.tiny.training.tower_start import new_tower
from uhd_edge.tiny.world.batches import tensors_of
from uhd_edge.tiny.world.tokenizer import RememberingEncoder, train_tokenizer

FEW = Order(replace(RECIPE, steps=3), {name: replace(kind, count=2) for name, kind in ROW_KINDS.items()}, 1)


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Order:
    """A short recipe, and a tower and a language model to begin with that have learned nothing."""
    start = tmp_path_factory.mktemp("start") / "start.safetensors"
    save_start(new_tower(5, BEFORE), Reader(5, train_tokenizer()), start)
    return replace(FEW, start=start)


def run(name: str, folder: Path, runs: Path, order: Order) -> bytes:
    """The bytes of the file that a row leaves."""
    for made in (folder, runs):
        made.mkdir(exist_ok=True)
    return run_row(find_row(name), 0, Desk(folder, runs, Amount(2, 2)), RememberingEncoder(), order).read_bytes()


def test_rows_of_every_seed_begin_with_the_same_tower_and_language_model(few: Order) -> None:
    given = load_file(few.start)
    for seed in (0, 1):
        model = begin(find_row("average-pool"), seed, few.start).state.model
        for part, module in (("text", model.reader.text), ("tower.encoder", model.seer.tower.encoder)):
            for name, weight in module.state_dict().items():
                assert torch.equal(weight, given[f"{part}.{name}"].float()), name


def test_a_row_that_was_stopped_writes_the_bytes_of_one_that_was_not(
    tmp_path: Path, few: Order, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run("cross-mean", tmp_path / "whole", tmp_path / "runs", few)
    with monkeypatch.context() as stopping:
        step, done = training.one_step, []

        def one_step(*given: Any) -> Any:
            if len(done) == 2:
                raise KeyboardInterrupt  # which leaves what a kill would: the state saved last
            done.append(given)
            return step(*given)

        stopping.setattr(training, "one_step", one_step)
        with pytest.raises(KeyboardInterrupt):
            run("cross-mean", tmp_path / "stopped", tmp_path / "resumed", few)
    assert not list((tmp_path / "resumed").iterdir())
    assert run("cross-mean", tmp_path / "stopped", tmp_path / "resumed", few) == whole

    lines = [json.loads(line) for line in whole.splitlines()]
    assert [line["step"] for line in lines[:-1]] == [1, 2, 3]
    assert set(lines[-1]["right"]) == set(report.MEASURED_KINDS)
    assert all(asked == 2 for _, asked in lines[-1]["right"].values())
    states = [torch.load(tmp_path / folder / "cross-mean-0.pt", weights_only=True) for folder in ("whole", "stopped")]
    for name, tensor in states[0]["seer"].items():
        assert torch.equal(tensor, states[1]["seer"][name]), name


def test_a_row_is_claimed_by_one_process_at_a_time(tmp_path: Path) -> None:
    file = tmp_path / "row.lock"
    with claimed(file) as first, claimed(file) as second:
        assert (first, second) == (True, False)
    with claimed(file) as again:
        assert again


def test_all_rows_begin_with_the_same_tower_and_differ_in_the_compressor(few: Order) -> None:
    names = ("post-vit", "window-reuse", "window-reuse-after-3", "window-reuse-random")
    runs = {name: begin(find_row(name), 0, few.start).state.model for name in names}
    towers = {name: model.seer.tower.state_dict() for name, model in runs.items()}
    first = towers["post-vit"]
    for name, tensors in towers.items():
        assert all(torch.equal(tensors[key], tensor) for key, tensor in first.items()), name
    merged = "vit_merger.self_attn.q_proj.weight"
    assert torch.equal(towers["window-reuse"][merged], first["encoder.layers.1.self_attn.q_proj.weight"])
    assert torch.equal(towers["window-reuse-after-3"][merged], first["encoder.layers.3.self_attn.q_proj.weight"])
    assert not torch.equal(towers["window-reuse-random"][merged], towers["window-reuse"][merged])
    assert not any(parameter.requires_grad for parameter in runs["window-reuse"].reader.parameters())


def test_rows_of_one_seed_have_the_same_batches_and_seeds_have_others() -> None:
    views = {
        (name, seed): Steps(training.stage_of(find_row(name), FEW.recipe), seed, RememberingEncoder(), FEW.kinds)[0]
        for name, seed in (("window-reuse", 0), ("post-vit", 0), ("window-reuse", 1))
    }
    one, same, other = (tensors_of(drawn.batch) for drawn in views.values())
    assert all(torch.equal(*pair) for pair in zip(one, same, strict=True))
    assert not torch.equal(one[0], other[0])


def test_slices_are_a_thumbnail_and_four_views_with_as_many_pixels_in_a_batch() -> None:
    given = {name: training.stage_of(find_row(name), RECIPE).mix for name in ("window-reuse", "window-reuse-slices")}
    assert [f"{name} slices" for name in given["window-reuse"]] == list(given["window-reuse-slices"])
    for whole, cut in [("crowded", "crowded slices"), ("text", "text slices")]:
        (rows, columns), (small, _) = ROW_KINDS[whole].grids[0], ROW_KINDS[cut].grids[0]
        assert ROW_KINDS[whole].count * rows * columns == ROW_KINDS[cut].count * small**2
    timed = time_rows((find_row("window-reuse"), find_row("window-reuse-slices")), rounds=2, threads=1)
    assert all(row["from"] <= row["ms"] <= row["to"] for row in timed.values())
    # 5 views of 64 patches against one of 256: there is less attention, and of all else 5 / 4 as much.
    assert 1 < timed["window-reuse-slices"]["mflop"] / timed["window-reuse"]["mflop"] < 1.25


def test_the_page_shows_what_the_committed_runs_saw() -> None:
    page = (ROOT / "docs" / "paper-tables.md").read_text(encoding="utf-8")
    runs = report.read_runs(RUNS)
    assert any(runs.values())
    written = report.tables(runs, json.loads(TIMES.read_text(encoding="utf-8")))
    assert [line for line in written.splitlines() if line not in page] == []


def test_the_report_has_every_table_with_intervals_over_seeds(tmp_path: Path) -> None:
    for name in ("window-reuse", "post-vit"):
        for seed, right in enumerate((10, 14, 12)):
            result = {"row": name, "seed": seed, "steps": 3, "read": {"character": 0.5}}
            answers = {"right": {kind: [right + 2 * (name == "post-vit"), 20] for kind in report.MEASURED_KINDS}}
            (tmp_path / f"{name}-{seed}.jsonl").write_text(json.dumps(result | answers) + "\n")
    times = {"rows": {row.name: {"ms": 2.0, "mflop": 400.0} for row in ROWS}}
    runs = report.read_runs(tmp_path)
    written = report.tables(runs, times)
    assert all(f"### {title}" in written for title in TABLES)
    # Of 50, 70 and 60 %: the mean, and 4.303 times the deviation of 10 over the root of three.
    assert "| 60.0 ± 24.8 |" in written
    # post-vit is 10 points above in every seed.
    depths = report.table(("window-reuse", "post-vit"), runs, times)
    assert "| 10.0 ± 0.0 |" in depths[-1]
    report.plot(runs, times, tmp_path / "plot.svg")
    drawn = (tmp_path / "plot.svg").read_bytes()
    report.plot(runs, times, tmp_path / "plot.svg")
    assert (tmp_path / "plot.svg").read_bytes() == drawn
