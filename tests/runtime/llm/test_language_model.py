"""The language model against llama.cpp itself: ids and embeddings, limits, broken files, streams."""

from __future__ import annotations

import math
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from support.tiny_gguf import CONTEXT, HIDDEN, embedding_table, token_id, write_gguf

from uhd_edge.bench.synthetic.random_llm import RandomLanguageModel, write_random_llm
from uhd_edge.engines.threads import usable_cores
from uhd_edge.runtime.errors import ContextError, EngineError, ModelError, OptionError
from uhd_edge.runtime.llm.language_model import BATCH, LanguageModel
from uhd_edge.runtime.llm.llama_library import llama_library, weights_may_be_repacked
from uhd_edge.runtime.llm.sampling import Sampling
from uhd_edge.runtime.llm.segments import ImageSegment, TextSegment
from uhd_edge.runtime.llm.streaming import TextStream

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PROMPT = "<|im_start|>user\nhello, wörld 你好 🙂<|im_end|>\n<|im_start|>assistant\n"


@pytest.fixture(scope="module", params=["qwen3", "qwen2vl"])
def path(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A plain transformer, and one whose positions have sections (M-RoPE)."""
    return write_gguf(tmp_path_factory.mktemp("models") / "model.gguf", architecture=request.param)


@pytest.fixture
def model(path: Path) -> Iterator[LanguageModel]:
    with LanguageModel(path, threads=1, exact=True) as model:
        yield model


def logits_of(model: LanguageModel, *segments: TextSegment | ImageSegment) -> np.ndarray:
    model.clear()
    model.prefill(segments)
    return model.logits()


def embedded(model: LanguageModel, text: str) -> ImageSegment:
    """The embeddings that the model itself would look up for `text`."""
    return ImageSegment(embedding_table()[model.vocabulary.tokenize(text)])


def test_a_prompts_own_embeddings_give_the_logits_of_its_ids(model: LanguageModel) -> None:
    expected = logits_of(model, TextSegment(PROMPT))
    assert np.array_equal(logits_of(model, embedded(model, PROMPT)), expected)


def test_text_and_embeddings_in_turns_give_the_logits_of_the_ids(model: LanguageModel) -> None:
    expected = logits_of(model, TextSegment("hello" + PROMPT + "<image>hell"))
    mixed = logits_of(model, TextSegment("hello"), embedded(model, PROMPT), TextSegment("<image>hell"))
    np.testing.assert_allclose(mixed, expected, atol=1e-4)


def test_a_prompt_longer_than_a_batch_is_read_in_parts(model: LanguageModel) -> None:
    text = "hello " * (BATCH * 3 // 4)
    ids, rows = TextSegment(text), embedded(model, text)
    assert len(rows.embeddings) > BATCH
    np.testing.assert_allclose(logits_of(model, rows), logits_of(model, ids), atol=1e-4)
    assert model.position == len(rows.embeddings)


def test_embeddings_that_are_not_contiguous_are_read_right(model: LanguageModel) -> None:
    rows = embedded(model, PROMPT).embeddings
    expected = logits_of(model, ImageSegment(rows))
    assert np.array_equal(logits_of(model, ImageSegment(np.asfortranarray(rows))), expected)
    assert np.array_equal(logits_of(model, ImageSegment(np.repeat(rows, 2, axis=0)[::2])), expected)


def test_a_conversation_can_go_on(model: LanguageModel) -> None:
    whole = logits_of(model, TextSegment("hello<image>hell"))
    model.clear()
    for part in ("hello", "<image>", "hell"):
        model.prefill([TextSegment(part)])
    np.testing.assert_allclose(model.logits(), whole, atol=1e-4)


def test_generation_goes_on_from_its_own_tokens(model: LanguageModel) -> None:
    """Greedy by hand: prefill everything anew for every token."""
    model.prefill([TextSegment(PROMPT)])
    generated = list(model.generate(Sampling(), max_tokens=6))
    table, expected = embedding_table(), []
    for _ in range(6):
        rows = np.concatenate([embedded(model, PROMPT).embeddings, table[expected]])
        expected.append(int(logits_of(model, ImageSegment(rows)).argmax()))
    assert generated == expected


def test_the_same_seed_gives_the_same_tokens(model: LanguageModel) -> None:
    def sample(seed: int) -> list[int]:
        model.clear()
        model.prefill([TextSegment(PROMPT)])
        return list(model.generate(Sampling(temperature=1.5, seed=seed), max_tokens=12))

    assert sample(7) == sample(7)
    assert sample(7) != sample(8)


def test_generation_may_be_left_at_any_point(model: LanguageModel) -> None:
    model.prefill([TextSegment(PROMPT)])
    expected = list(model.generate(Sampling(), max_tokens=5))
    model.clear()
    model.prefill([TextSegment(PROMPT)])
    steps = model.generate(Sampling(), max_tokens=5)
    assert [next(steps), next(steps)] == expected[:2]
    steps.close()
    model.clear()
    model.prefill([TextSegment(PROMPT)])
    assert list(model.generate(Sampling(), max_tokens=5)) == expected


def test_generation_ends_where_the_context_does(path: Path) -> None:
    with LanguageModel(path, context=40, threads=1) as model:
        model.prefill([TextSegment("hello" * 35)])
        assert len(list(model.generate(Sampling(), max_tokens=100))) == 5
        assert model.position == 40


def test_a_prompt_over_the_context_is_refused_before_it_is_read(model: LanguageModel) -> None:
    with pytest.raises(ContextError, match=rf"{CONTEXT + 1} tokens, the context {CONTEXT}"):
        model.prefill([TextSegment("hello" * (CONTEXT + 1))])
    assert model.position == 0


def test_the_context_is_no_longer_than_the_model_was_trained_for(path: Path) -> None:
    with LanguageModel(path, context=10**9, threads=1) as model:
        assert (model.context, model.trained_context) == (CONTEXT, CONTEXT)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_embeddings_with_nan_never_reach_the_model(model: LanguageModel, bad: float) -> None:
    expected = logits_of(model, TextSegment(PROMPT))
    rows = embedded(model, PROMPT).embeddings
    rows[3, 5] = bad
    model.clear()
    with pytest.raises(EngineError, match="NaN or infinity"):
        model.prefill([TextSegment("hello"), ImageSegment(rows)])
    assert model.position == 0
    assert np.array_equal(logits_of(model, TextSegment(PROMPT)), expected)


@pytest.mark.parametrize("shape", [(3, HIDDEN - 1), (3, HIDDEN + 1), (HIDDEN,), (1, 3, HIDDEN)])
def test_embeddings_of_another_width_are_refused(model: LanguageModel, shape: tuple[int, ...]) -> None:
    with pytest.raises(EngineError, match=f"do not fit a language model of width {HIDDEN}"):
        model.prefill([ImageSegment(np.zeros(shape, np.float32))])


def test_a_model_that_returns_nan_is_one_error(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "nan.gguf", weight=math.nan)
    with LanguageModel(path, threads=1) as model:
        model.prefill([TextSegment("hello")])
        with pytest.raises(ModelError, match="returned NaN or infinity"):
            next(model.generate(Sampling(), max_tokens=2))


def newest_logits(model: LanguageModel) -> np.ndarray:
    """The logits in llama.cpp's own memory, to be changed there."""
    pointer = model._api.llama_get_logits_ith(model._context, -1)
    return np.ctypeslib.as_array(pointer, (model.vocabulary.size,))


@pytest.mark.parametrize("sampling", [Sampling(), Sampling(temperature=0.01, repetition_penalty=0.01)])
@pytest.mark.parametrize(("where", "bad"), [(7, math.nan), (7, math.inf), (7, 2e38), (slice(None), -math.inf)])
def test_logits_that_llama_cpp_would_abort_on_are_one_error(
    model: LanguageModel, sampling: Sampling, where: int | slice, bad: float
) -> None:
    model.clear()
    model.prefill([TextSegment("hello")])
    newest_logits(model)[where] = bad
    with pytest.raises(ModelError, match="returned NaN or infinity"):
        next(model.generate(sampling, max_tokens=2))


@pytest.mark.parametrize("sampling", [Sampling(), Sampling(temperature=0.01, repetition_penalty=0.01)])
def test_tokens_that_cannot_come_are_no_error_while_another_can(model: LanguageModel, sampling: Sampling) -> None:
    model.clear()
    model.prefill([TextSegment("hello")])
    logits = newest_logits(model)
    logits[:] = -math.inf
    logits[9] = -3.0
    assert next(model.generate(sampling, max_tokens=2)) == 9


def test_logits_before_anything_was_read_are_one_error(model: LanguageModel) -> None:
    with pytest.raises(ModelError, match="nothing has been read"):
        model.logits()


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda _data: b"", "not a GGUF file"),
        (lambda data: b"\x89PNG" + data[4:], "not a GGUF file"),
        (lambda data: data[:20], "failed to read"),
        (lambda data: data[: len(data) // 2], "not within the file bounds"),
        (lambda data: data[:-1], "not within the file bounds"),
        (lambda data: data.replace(b"<slice>", b"<image>"), "has the token .<image>. twice"),
        (lambda data: data.replace(b"<slice>", b"a\0lice>"), "has the token .a. twice"),
        (lambda data: data.replace(b"blk.1.attn_q.weight", b"blk.1.attn_x.weight"), "blk.1.attn_q.weight"),
        (lambda data: data.replace(b"qwen3", b"qwen9").replace(b"qwen2vl", b"qwen9vl"), "unknown model architecture"),
    ],
)
def test_a_broken_file_is_one_error_with_llama_cpps_reason(
    path: Path, tmp_path: Path, damage: Any, reason: str, capfd: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ModelError, match=reason) as caught:
        LanguageModel(broken, threads=1)
    assert str(broken) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr().err == ""


def test_a_missing_file_is_one_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="No such file"):
        LanguageModel(tmp_path / "none.gguf")


@pytest.mark.parametrize("setting", [{"context": 0}, {"threads": 0}, {"threads": 10**6}, {"gpu_layers": -2}])
def test_a_setting_without_sense_is_refused_by_name(path: Path, setting: dict[str, int]) -> None:
    (name,) = setting
    with pytest.raises(OptionError, match=rf"^{name} is "):
        LanguageModel(path, **setting)


def test_layers_on_a_gpu_need_a_build_that_has_one(path: Path) -> None:
    if llama_library().api.llama_supports_gpu_offload():
        pytest.skip("this build of llama.cpp has a GPU")
    with pytest.raises(ModelError, match=r"^--gpu-layers all: .* built without GPU support"):
        LanguageModel(path, gpu_layers=-1)


def test_a_closed_model_says_so(path: Path) -> None:
    model = LanguageModel(path, threads=1)
    model.prefill([TextSegment("hello")])
    steps = model.generate(Sampling(), max_tokens=3)
    next(steps)
    model.close()
    model.close()
    for use in (lambda: next(steps), model.clear, lambda: model.prefill([TextSegment("a")]), model.logits):
        with pytest.raises(ModelError, match="has been closed"):
            use()


def test_special_tokens_are_single_ids_and_leave_no_text(model: LanguageModel) -> None:
    ids = model.vocabulary.tokenize("<image>a</image>")
    assert ids == [token_id("<image>"), token_id("a"), token_id("</image>")]
    assert b"".join(map(model.vocabulary.piece, ids)) == b"a"


def test_pieces_of_every_byte_come_back(model: LanguageModel) -> None:
    text = "".join(map(chr, range(1, 0x250))) + "你好 🙂 \u2028" + "hello"
    assert b"".join(map(model.vocabulary.piece, model.vocabulary.tokenize(text))) == text.encode()


def stream(model: LanguageModel, ids: list[int], stop_ids: tuple[int, ...] = ()) -> TextStream:
    return TextStream(iter(ids), model.vocabulary, stop_ids)


def test_a_stream_never_has_half_a_character(model: LanguageModel) -> None:
    text = "é你🙂!"
    pieces = list(stream(model, model.vocabulary.tokenize(text)))
    assert [piece for piece in pieces if piece] == list(text)
    assert len(pieces) > len(text)  # one for every token, so that there is a place to stop after each


def test_what_never_becomes_a_character_is_replaced_as_by_the_reference(model: LanguageModel) -> None:
    ids = model.vocabulary.tokenize("🙂é🙂")
    broken = [*ids[:2], *ids[4:5], *ids[6:9]]  # two bytes of four, one of two, three of four
    assert "".join(stream(model, broken)) == "\ufffd\ufffd\ufffd"


def test_a_stop_id_ends_a_stream_without_showing(model: LanguageModel) -> None:
    ids = [*model.vocabulary.tokenize("hello"), token_id("!"), token_id("a")]
    answer = stream(model, ids, stop_ids=(token_id("!"),))
    assert "".join(answer) == "hello"
    assert (answer.finish_reason, answer.completion_tokens) == ("stop", 2)


def test_what_llama_cpp_knows_as_an_end_ends_a_stream(model: LanguageModel) -> None:
    answer = stream(model, model.vocabulary.tokenize("hello<|im_end|>a"))
    assert "".join(answer) == "hello"
    assert answer.finish_reason == "stop"


def test_a_stream_that_runs_out_says_length(model: LanguageModel) -> None:
    answer = stream(model, model.vocabulary.tokenize("hell<slice>o"))
    assert "".join(answer) == "hello"
    assert (answer.finish_reason, answer.completion_tokens) == ("length", 3)


def test_weights_are_not_repacked_on_a_processor_with_amx(tmp_path: Path) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("flags\t\t: fpu avx2 amx_tile amx_int8\n")
    assert not weights_may_be_repacked(cpuinfo)
    cpuinfo.write_text("Features\t: fp asimd asimddp i8mm\n")
    assert weights_may_be_repacked(cpuinfo)
    assert weights_may_be_repacked(tmp_path / "absent")


def openmp_settings(**chosen: str) -> str:
    """What OpenMP's runtime says of itself while llama.cpp loads, if it is one that does; nothing else may change."""
    code = (
        "import os\n"
        "from uhd_edge.runtime.llm.llama_library import llama_library\n"
        "before = dict(os.environ)\n"
        "llama_library()\n"
        "assert dict(os.environ) == before"
    )
    clean = {name: value for name, value in os.environ.items() if name not in {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"}}
    environment = clean | {"OMP_DISPLAY_ENV": "verbose"} | chosen
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    if "GOMP_SPINCOUNT" not in done.stderr:
        pytest.skip("llama.cpp was not built with GCC's OpenMP")
    return done.stderr


def test_waiting_threads_spin_for_a_little_and_then_sleep() -> None:
    assert re.search(r"GOMP_SPINCOUNT = '10?000'", openmp_settings())


def test_how_threads_wait_is_left_to_the_user_who_says_it() -> None:
    assert "GOMP_SPINCOUNT = '300000'" in openmp_settings(GOMP_SPINCOUNT="300000")
    assert "GOMP_SPINCOUNT = '0'" in openmp_settings(OMP_WAIT_POLICY="passive")


def threads_of(path: Path, threads: int | None = None) -> tuple[int, int]:
    """With how many threads a model generates, and with how many it reads a prompt."""
    with LanguageModel(path, threads=threads) as model:
        return model._api.llama_n_threads(model._context), model._api.llama_n_threads_batch(model._context)


def test_a_tiny_model_reads_with_all_cores_and_generates_with_one(path: Path) -> None:
    assert threads_of(path) == (1, usable_cores())


def test_a_model_of_useful_size_generates_with_all_cores(tmp_path: Path) -> None:
    file = tmp_path / "model.gguf"
    write_random_llm(file, RandomLanguageModel(hidden=256, intermediate=2048, layers=1))
    assert threads_of(file) == (usable_cores(), usable_cores())


def test_threads_that_were_asked_for_are_used_throughout(path: Path) -> None:
    assert threads_of(path, threads=3) == (3, 3)
