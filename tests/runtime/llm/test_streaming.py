"""A stream of text: whole characters only, and why it ended."""

from __future__ import annotations

from support.tiny_gguf import token_id

from uhd_edge.runtime.llm.language_model import LanguageModel
from uhd_edge.runtime.llm.streaming import TextStream


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
