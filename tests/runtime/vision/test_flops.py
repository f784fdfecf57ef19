"""Counting operations: against the exported graphs, the paper's tables, and by hand."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from support.graph_flops import graph_flops

from uhd_edge.cli import main as cli
from uhd_edge.runtime.bundles.bundle import MANIFEST, Bundle
from uhd_edge.runtime.bundles.model_sizes import MINICPM_V_4_6, ModelSizes, read_sizes
from uhd_edge.runtime.errors import BundleError, OptionError
from uhd_edge.runtime.images.picture_size import picture_size, picture_sizes
from uhd_edge.runtime.modes import Mode
from uhd_edge.runtime.vision.flops import Flops, view_flops
from uhd_edge.runtime.vision.flops_of_pictures import ENCODINGS, flops_of_patches, flops_of_picture

if TYPE_CHECKING:
    from pathlib import Path

PAPER_PATCHES = 2448
TABLE_5 = {3: 1245.1, 6: 1573.1, 9: 1901.1, 15: 2557.0}
POST_VIT_BASELINE = 3555.1


def inserted_after(layer: int) -> ModelSizes:
    vision = MINICPM_V_4_6.vision.model_copy(update={"insert_layer": layer})
    return replace(MINICPM_V_4_6, vision=vision)


def parts_of_the_graphs(bundle: Bundle, mode: Mode, patches: int) -> Flops:
    """The same parts as `Flops`, told apart by the names of the graphs' nodes."""
    encoder, connector = bundle.graphs(mode, "fp32")
    insert_layer = bundle.manifest.vision.insert_layer
    parts = dict.fromkeys(("embeddings", "before", "vit_merger", "after"), 0)
    for name, flops in graph_flops(encoder, {"batch": 1, "patches": patches}).items():
        _, part, *rest = name.split("/")[0].split(".")
        if part == "encoder":
            part = "before" if int(rest[1]) <= insert_layer else "after"
        parts[part] += flops
    features = patches // 4 if mode == "16x" else patches
    of_connector = sum(graph_flops(connector, {"batch": 1, "features": features}).values())
    return Flops(parts["embeddings"], parts["before"], parts["vit_merger"], parts["after"], of_connector)


@pytest.mark.parametrize("mode", ["16x", "4x"])
@pytest.mark.parametrize("patches", [16, 256, 1024])
def test_the_usual_count_is_that_of_the_built_in_model_s_graphs(mode: Mode, patches: int) -> None:
    bundle = Bundle.open()
    counted = view_flops(read_sizes(bundle), patches, compressed=mode == "16x")
    assert counted == parts_of_the_graphs(bundle, mode, patches)


@pytest.mark.parametrize("mode", ["16x", "4x"])
def test_the_usual_count_is_that_of_a_random_checkpoint_s_graphs(qwen3_bundle: Bundle, mode: Mode) -> None:
    counted = view_flops(read_sizes(qwen3_bundle), 320, compressed=mode == "16x")
    assert counted == parts_of_the_graphs(qwen3_bundle, mode, 320)


@pytest.mark.parametrize(("layer", "printed"), TABLE_5.items())
def test_the_paper_s_count_gives_table_5(layer: int, printed: float) -> None:
    counted = view_flops(inserted_after(layer), PAPER_PATCHES, compressed=True, count="paper")
    assert counted.encoder / 1e9 == pytest.approx(printed, rel=0.001)


def test_the_paper_s_count_gives_the_baseline_of_post_vit_compression() -> None:
    counted = view_flops(MINICPM_V_4_6, PAPER_PATCHES, compressed=False, count="paper")
    assert counted.encoder / 1e9 == pytest.approx(POST_VIT_BASELINE, rel=0.001)


def test_the_paper_s_count_saves_what_the_paper_says() -> None:
    post_vit, ours = (
        view_flops(MINICPM_V_4_6, PAPER_PATCHES, compressed=compressed, count="paper").encoder
        for compressed in (False, True)
    )
    assert 1 - ours / post_vit == pytest.approx(0.558, abs=0.001)


def test_compressing_one_view_of_the_real_model_halves_the_usual_count() -> None:
    by_name = {one.encoding: one.flops for one in flops_of_picture(MINICPM_V_4_6, 448, 448)}
    assert by_name["post-vit"].encoder / 1e9 == pytest.approx(974, abs=0.5)
    assert by_name["16x"].encoder / 1e9 == pytest.approx(477, abs=0.5)


def test_a_layer_is_counted_as_by_hand() -> None:
    """One layer more before the compressor: 4 d**2 + 2 d m twice for each token, and 4 d T**2."""
    more = view_flops(inserted_after(7), 64, compressed=False).layers_before
    fewer = view_flops(inserted_after(6), 64, compressed=False).layers_before
    assert more - fewer == 64 * (8 * 1152**2 + 4 * 1152 * 4304) + 4 * 1152 * 64**2


def test_a_sliced_picture_is_counted_view_by_view() -> None:
    counted = {one.encoding: one for one in flops_of_picture(MINICPM_V_4_6, 1344, 1344)}
    assert counted["16x"].views == (1024,) * 10
    assert counted["16x"].flops.total == 10 * view_flops(MINICPM_V_4_6, 1024, compressed=True).total
    assert {name: one.tokens for name, one in counted.items()} == {
        "16x": 640,
        "4x": 2560,
        "post-vit": 2560,
        "global": 2304,
    }
    assert counted["global"].views == (96 * 96,)


def test_fewer_slices_are_counted_when_they_are_limited() -> None:
    thumbnail = flops_of_picture(MINICPM_V_4_6, 1344, 1344, max_slices=1)[0]
    assert thumbnail.views == (1024,)


@given(width=st.integers(1, 6000), height=st.integers(1, 6000))
def test_global_is_one_view_of_the_picture_s_own_size(width: int, height: int) -> None:
    if max(width, height) > 20 * min(width, height):
        return  # refused as too thin
    counted = flops_of_picture(MINICPM_V_4_6, width, height)[-1]
    (patches,) = counted.views
    rows, columns = (max(2, 2 * round(side / 28)) for side in (height, width))
    assert (counted.encoding, patches, counted.tokens) == ("global", rows * columns, rows * columns // 4)


@given(patches=st.integers(1, 500).map(lambda number: 16 * number), layer=st.integers(0, 25))
def test_compressing_later_never_takes_less(patches: int, layer: int) -> None:
    for count in ("usual", "paper"):
        earlier, later = (
            view_flops(inserted_after(place), patches, compressed=True, count=count).encoder  # type: ignore[arg-type]
            for place in (layer, layer + 1)
        )
        assert earlier < later


def test_patches_that_make_no_whole_tokens_are_refused() -> None:
    for patches in (0, -16, 20):
        with pytest.raises(OptionError, match="multiple"):
            flops_of_patches(MINICPM_V_4_6, patches)


def test_a_bundle_from_before_the_width_was_recorded_is_valid_and_is_told_what_is_missing(tmp_path: Path) -> None:
    builtin = Bundle.open()
    old = builtin.manifest.model_dump(mode="json")
    del old["vision"]["intermediate_size"]
    for name in old["files"]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).symlink_to(builtin.path / name)
    (tmp_path / MANIFEST).write_text(json.dumps(old))
    opened = Bundle.open(tmp_path)
    assert opened.manifest.vision.intermediate_size is None
    with pytest.raises(BundleError, match="intermediate_size is missing"):
        read_sizes(opened)


def test_an_export_records_the_width(qwen3_bundle: Bundle) -> None:
    assert qwen3_bundle.manifest.vision.intermediate_size == 80


@pytest.mark.parametrize(("text", "size"), [("448x448", (448, 448)), ("1344X672", (1344, 672)), (" 1x1 ", (1, 1))])
def test_a_size_is_width_by_height(text: str, size: tuple[int, int]) -> None:
    assert picture_size(text) == size


@pytest.mark.parametrize(
    "text", ["", "448", "448x", "0x448", "-1x4", "4.5x4", "448*448", "20000x20000", "\u0661x\u0661"]
)
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(OptionError):
        picture_size(text)


def test_sizes_are_named_once() -> None:
    assert picture_sizes("448x448,20x10,448x448") == [(448, 448), (20, 10)]


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert cli.exit_code(["flops", *arguments]) == 0
    return capsys.readouterr().out


def test_the_command_prints_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    table = printed(capsys, "--model", "MiniCPM-V-4.6")
    rows = {line[:20].strip(): line.split() for line in table.splitlines()}
    assert "448 x 448" in table
    assert rows["encoder"] == ["encoder", "477.1", "973.7", "973.7", "973.7"]
    assert rows["encoder beside post-"][3:] == ["-51.0", "%"]


def test_the_command_prints_json_with_every_part(capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--count", "paper", "--patches", "2448", "--insert-after", "3")
    answer = json.loads(printed(capsys, "--model", "minicpm-v-4.6", "--json", *options))
    assert list(answer["encodings"]) == list(ENCODINGS)
    ours = answer["encodings"]["16x"]
    parts = ("patch_embedding", "layers_before", "compressor", "layers_after", "connector")
    assert sum(ours["flops"][part] for part in parts) == ours["flops"]["total"]
    assert ours["flops"]["encoder"] / 1e9 == pytest.approx(TABLE_5[3], rel=0.001)
    assert (ours["views"], ours["tokens"]) == ([2448], 153)


def test_the_command_counts_a_picture_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "picture.png"
    Image.fromarray(np.zeros((300, 500, 3), np.uint8)).save(file)
    assert json.loads(printed(capsys, "--image", str(file), "--json")) == json.loads(
        printed(capsys, "--size", "500x300", "--json")
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ["--size", "many"],
        ["--size", "1x4000000"],
        ["--size", "20000x1"],
        ["--patches", "7"],
        ["--insert-after", "6"],
        ["--model", "gpt"],
        ["--image", "nowhere.png"],
        ["nowhere"],
    ],
)
def test_what_cannot_be_counted_is_one_line(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.exit_code(["flops", *arguments]) == 1
    error = capsys.readouterr().err
    assert error.startswith("uhd: ")
    assert error.count("\n") == 1


def test_what_excludes_each_other_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.exit_code(["flops", "--size", "1x1", "--patches", "16"]) == 2
    assert "only one of --image, --size or --patches" in capsys.readouterr().err
