"""Tokens that keep to a grammar: never one that llama.cpp would end the process on, and in the model's own shares."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from support.tiny_gguf import token_id, write_gguf

from uhd_edge.runtime.bundles.bundle import Bundle
from uhd_edge.runtime.errors import ModelError, SchemaError
from uhd_edge.runtime.llm.grammar_sampling import ALONE, FEW, Grammar
from uhd_edge.runtime.llm.language_model import LanguageModel
from uhd_edge.runtime.llm.llama_library import llama_library
from uhd_edge.runtime.llm.opening import open_language_model
from uhd_edge.runtime.llm.sampling import Sampler, Sampling
from uhd_edge.runtime.schema.to_grammar import build_grammar

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


PROMPT = "<|im_start|>user\nHow many objects are there?<|im_end|>\n<|im_start|>assistant\n"
AT_RANDOM = Sampling(temperature=100.0, seed=5)


@pytest.fixture(scope="module")
def model() -> Iterator[LanguageModel]:
    with open_language_model(Bundle.open(), context=1024) as model:
        yield model


def generated(model: LanguageModel, grammar: str, sampling: Sampling = AT_RANDOM, *, most: int = 300) -> list[int]:
    model.clear()
    model.prefill([model.vocabulary.tokenize(PROMPT)])
    tokens = []
    for token in model.generate(sampling, max_tokens=most, grammar=grammar):
        tokens.append(token)
        if model.vocabulary.ends_answer(token):
            break
    return tokens


def test_a_control_token_is_no_part_of_a_string_however_likely(model: LanguageModel) -> None:
    tokens = generated(model, build_grammar({"type": "string", "minLength": 250}))
    assert len(tokens) > 100
    assert all(model.vocabulary.token_bytes(token) for token in tokens)


def test_an_answer_ends_where_it_is_complete_and_not_before(model: LanguageModel) -> None:
    tokens = generated(model, build_grammar({"type": "array", "items": {"type": "null"}, "minItems": 9, "maxItems": 9}))
    assert model.vocabulary.ends_answer(tokens[-1])
    text = b"".join(map(model.vocabulary.token_bytes, tokens))
    assert text.replace(b" ", b"") == b"[" + b"null," * 8 + b"null]"


@pytest.mark.parametrize(
    "grammar", ["root", "other ::= [a]", "root ::= root | [a]", "root ::= missing", "root ::= [a]{9999}"]
)
def test_a_grammar_that_llama_cpp_does_not_take_is_an_error(model: LanguageModel, grammar: str) -> None:
    with pytest.raises(SchemaError, match=r"llama\.cpp does not take"):
        model.require_grammar(grammar)


def test_a_token_that_the_vocabulary_lacks_is_an_error_and_the_model_goes_on(model: LanguageModel) -> None:
    with pytest.raises(ModelError, match="no token for what the schema wants next"):
        generated(model, 'root ::= "a" <[100000]>')
    assert generated(model, 'root ::= "a"', Sampling())[-1] in np.flatnonzero(model.vocabulary.ending)


def test_what_is_allowed_keeps_its_share_among_what_is_allowed(model: LanguageModel) -> None:
    library, vocabulary = llama_library(), model.vocabulary
    (a,), (b,), (c,) = (vocabulary.tokenize(text) for text in "abc")
    logits = np.full(vocabulary.size, -20.0, np.float32)
    logits[[a, b, c]] = 1.0, 0.0, 2.0  # c, the likeliest, is not allowed

    def choice(seed: int) -> int:
        grammar = Grammar(library, vocabulary, 'root ::= "a" | "b"')
        sampling = Sampling(temperature=1.0, seed=seed)
        with Sampler(
            library, sampling, vocabulary_size=vocabulary.size, context=8, history=[], grammar=grammar
        ) as sampler:
            return sampler.sample(None, logits)

    chosen = [choice(seed) for seed in range(1000)]
    assert set(chosen) == {a, b}
    assert chosen.count(a) / len(chosen) == pytest.approx(1 / (1 + np.exp(-1)), abs=0.04)


@pytest.mark.parametrize("rank", [0, 1, ALONE - 1, ALONE, FEW - 1, FEW, 200])
def test_the_likeliest_that_is_allowed_is_taken_however_unlikely(model: LanguageModel, rank: int) -> None:
    library, vocabulary = llama_library(), model.vocabulary
    (a,), (b,) = (vocabulary.tokenize(text) for text in "ab")
    order = [token for token in range(vocabulary.size) if token not in {a, b}]
    logits = np.empty(vocabulary.size, np.float32)
    falling = -np.arange(vocabulary.size) // 3 * 3  # three at a time equally likely
    logits[[*order[:rank], b, a, *order[rank:]]] = falling
    grammar = Grammar(library, vocabulary, 'root ::= "a" | "b"')
    with Sampler(
        library, Sampling(), vocabulary_size=vocabulary.size, context=8, history=[], grammar=grammar
    ) as sampler:
        assert sampler.sample(None, logits) == (min(a, b) if logits[a] == logits[b] else b)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "array", "items": {"type": "integer"}, "minItems": 60},
        {"type": "string", "minLength": 60},
        {"type": "object", "properties": {"née": {"enum": ["été", "ête", "ok"]}, "n": {"type": "number"}}},
        {"type": "array", "items": {"enum": ["é\u20ac", "\U0001f600b", "\u20ac\u20ac"]}, "minItems": 20},
    ],
)
def test_what_may_follow_is_what_may_follow_token_by_token(model: LanguageModel, schema: dict[str, object]) -> None:
    vocabulary, drawing = model.vocabulary, np.random.default_rng(3)
    grammar = Grammar(llama_library(), vocabulary, build_grammar(schema))
    beyond_ascii = 0
    for _ in range(60):
        allowed = grammar.allowed()
        assert allowed.tolist() == [token for token in range(vocabulary.size) if grammar.allows(token)]
        logits = drawing.normal(size=vocabulary.size).astype(np.float32)
        assert grammar.likeliest(np.arange(vocabulary.size), logits) == allowed[logits[allowed].argmax()]
        token = int(drawing.choice(allowed))
        if vocabulary.ends_answer(token):
            break
        beyond_ascii += not vocabulary.token_bytes(token).isascii()
        grammar.accept(token)
    grammar.close()
    assert beyond_ascii or "\u00e9" not in str(schema)


@pytest.mark.parametrize("end", ["hello", "h", "Ċ"])  # the last one is how a line's end is written in a vocabulary
def test_a_word_that_ends_answers_may_follow_a_whole_one(tmp_path: Path, end: str) -> None:
    with LanguageModel(write_gguf(tmp_path / "llm.gguf", end=end)) as model:
        vocabulary, ends = model.vocabulary, token_id(end)
        grammar = Grammar(llama_library(), vocabulary, 'root ::= "1" [0-9]* | "hell"')
        (one,) = vocabulary.tokenize("1")
        at_first = grammar.allowed().tolist()
        assert at_first == [token for token in range(vocabulary.size) if grammar.allows(token)]
        assert {one, token_id("he"), token_id("hell")} <= set(at_first)
        grammar.accept(one)
        after_one = grammar.allowed().tolist()
        assert after_one == [token for token in range(vocabulary.size) if grammar.allows(token)]
        assert ends in after_one
        grammar.close()


@pytest.mark.parametrize("sampling", [Sampling(), Sampling(temperature=1.0)])
def test_what_the_model_rules_out_is_not_chosen_even_if_nothing_else_fits(
    model: LanguageModel, sampling: Sampling
) -> None:
    library, vocabulary = llama_library(), model.vocabulary
    logits = np.zeros(vocabulary.size, np.float32)
    logits[[vocabulary.tokenize(text)[0] for text in "ab"]] = -np.inf
    grammar = Grammar(library, vocabulary, "root ::= [ab]")
    with (
        Sampler(library, sampling, vocabulary_size=vocabulary.size, context=8, history=[], grammar=grammar) as sampler,
        pytest.raises(ModelError, match="no token for what the schema wants next"),
    ):
        sampler.sample(None, logits)


def test_without_a_grammar_and_with_one_that_allows_everything_the_tokens_are_the_same(model: LanguageModel) -> None:
    anything = r"root ::= [\x01-\U0010FFFF]*"
    for sampling in (
        Sampling(),
        Sampling(repetition_penalty=1.2),
        Sampling(temperature=1.0, top_k=20, top_p=0.9, seed=11),
    ):
        model.clear()
        model.prefill([model.vocabulary.tokenize(PROMPT)])
        free = []
        for token in model.generate(sampling, max_tokens=40):
            free.append(token)
            if model.vocabulary.ends_answer(token):
                break
        assert generated(model, anything, sampling, most=40) == free
