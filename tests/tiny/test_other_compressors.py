"""Another compressor is trained like uhd-tiny's own, and its checkpoint is exported."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import onnxruntime
import pytest
import torch

from uhd_edge.export.checkpoint.checkpoint import open_checkpoint
from uhd_edge.export.graphs.graphs import write_graphs
from uhd_edge.export.reuse import first_weights
from uhd_edge.runtime.bundles.compressors import COMPRESSOR_NAMES
from uhd_edge.tiny.training.batches import Drawn
from uhd_edge.tiny.training.recipe import Stage
from uhd_edge.tiny.training.saved_model import save_checkpoint
from uhd_edge.tiny.training.seeing import seen_batch
from uhd_edge.tiny.training.tower_start import CONFIG, new_tower
from uhd_edge.tiny.training.train import insert_compressor, one_step
from uhd_edge.tiny.training.training_state import new_state
from uhd_edge.tiny.world.tokenizer import train_tokenizer

if TYPE_CHECKING:
    from pathlib import Path

    from uhd_edge.runtime.bundles.compressors import CompressorName

CPU = torch.device("cpu")
STAGE = Stage("one step", 1, {"crowded": 1.0}, rate=1e-3, text_rate=1e-3)


def test_it_is_trained_saved_and_exported(tmp_path: Path) -> None:
    config = replace(CONFIG, compressor="cross-top-left", insert_layer=2)
    state = new_state(0, train_tokenizer(), CPU, config)
    state.seeing.rate, state.reading.rate = STAGE.rate, STAGE.text_rate
    insert_compressor(state)
    tower = state.model.seer.tower
    first = tower.vit_merger.mlp.fc1.weight.detach().clone()
    assert torch.equal(first, tower.encoder.layers[2].mlp.fc1.weight)
    loss, _ = one_step(state, STAGE, Drawn("crowded", seen_batch("0", 1, 8, 8, compress=True)), 0, 0.5)
    assert torch.isfinite(loss)
    assert not torch.equal(first, tower.vit_merger.mlp.fc1.weight)

    text = state.model.reader.text.state_dict()
    save_checkpoint(tmp_path / "saved", tower, state.model.seer.connector, text, torch.float32)
    with open_checkpoint(tmp_path / "saved") as opened:
        assert (opened.config.tower.compressor, opened.config.tower.insert_layer) == ("cross-top-left", 2)
        write_graphs(opened, tmp_path, modes=["16x"], precisions=["fp32"], progress=lambda _: None)
    random = np.random.default_rng(0)
    patches = random.uniform(-1, 1, (1, 32, CONFIG.patch_values)).astype(np.float32)
    positions = random.integers(0, CONFIG.table_side**2, (1, 32))
    session = onnxruntime.InferenceSession(tmp_path / "graphs" / "encoder-16x-fp32.onnx")
    (ours,) = session.run(None, {"patches": patches, "position_ids": positions})
    with torch.no_grad():
        expected = tower.encode(torch.tensor(patches), torch.tensor(positions), compress=True).numpy()
    assert np.abs(ours - expected).max() <= 1e-4 * expected.std()


@pytest.mark.parametrize("name", COMPRESSOR_NAMES)
def test_what_it_takes_from_the_layer_before_it_fits(name: CompressorName) -> None:
    tower = new_tower(0, replace(CONFIG, compressor=name))
    taken = first_weights(name, tower.encoder.layers[1].state_dict(), CONFIG.window)
    missing, unexpected = tower.vit_merger.load_state_dict(taken, strict=False)
    assert unexpected == []
    new = {"pre_norm.weight", "pre_norm.bias", "linear_1.weight", "linear_1.bias", "linear_2.weight", "linear_2.bias"}
    assert set(missing) == (new if name in ("window-mlp", "pixel-unshuffle") else set())
