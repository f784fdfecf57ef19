"""Choice of tokens by llama.cpp, against transformers' limits; and settings that make no sense."""

from __future__ import annotations

import ctypes
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from transformers import (
    LogitsProcessorList,
    MinPLogitsWarper,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from uhd_edge.runtime.errors import OptionError
from uhd_edge.runtime.llm.llama_library import llama_library
from uhd_edge.runtime.llm.sampling import Sampler, Sampling

if TYPE_CHECKING:
    from collections.abc import Sequence

VOCABULARY = 60


@pytest.mark.parametrize(
    "setting",
    [
        {"temperature": math.nan},
        {"temperature": math.inf},
        {"temperature": -0.5},
        {"temperature": 1e-40},
        {"temperature": "hot"},
        {"top_k": -1},
        {"top_k": 2.5},
        {"top_k": True},
        {"top_p": 0.0},
        {"top_p": 1.1},
        {"top_p": math.nan},
        {"min_p": -0.1},
        {"min_p": 1.5},
        {"repetition_penalty": 0.0},
        {"repetition_penalty": math.nan},
        {"presence_penalty": 2.1},
        {"frequency_penalty": math.nan},
        {"logit_bias": [1]},
        {"seed": -1},
        {"seed": 2**32 - 1},
        {"seed": 1.0},
    ],
)
def test_a_setting_without_sense_is_refused_by_name(setting: dict[str, Any]) -> None:
    (name,) = setting
    with pytest.raises(OptionError, match=rf"^{name} is "):
        Sampling(**setting)


def test_settings_at_their_limits_are_taken() -> None:
    Sampling(temperature=100, top_k=2**31 - 1, top_p=1, min_p=1, repetition_penalty=100, seed=2**32 - 2)


def distribution(
    sampling: Sampling, logits: np.ndarray, history: Sequence[int] = (), answer: Sequence[int] = ()
) -> tuple[dict[int, float], int]:
    """Probabilities of the tokens that are left when llama.cpp has applied everything, and its choice."""
    api = llama_library().api
    candidates = (api.llama_token_data * len(logits))()
    for token, logit in enumerate(logits):
        candidates[token].id, candidates[token].logit = token, float(logit)
    array = api.llama_token_data_array(data=candidates, size=len(logits), selected=-1, sorted=False)
    with Sampler(
        llama_library(),
        sampling,
        vocabulary_size=len(logits),
        context=64,
        history=list(history),
        answer=list(answer),
    ) as sampler:
        api.llama_sampler_apply(sampler._chain, ctypes.byref(array))
        left = {array.data[index].id: array.data[index].p for index in range(array.size)}
        return left, int(array.data[array.selected].id)


@pytest.mark.parametrize(
    ("sampling", "limits"),
    [
        (Sampling(temperature=0.7), [TemperatureLogitsWarper(0.7)]),
        (Sampling(temperature=1.0, top_k=5), [TopKLogitsWarper(5)]),
        (Sampling(temperature=1.0, top_p=0.8), [TopPLogitsWarper(0.8)]),
        (Sampling(temperature=1.0, min_p=0.1), [MinPLogitsWarper(0.1)]),
        (Sampling(temperature=3.0, top_p=0.8), [TemperatureLogitsWarper(3.0), TopPLogitsWarper(0.8)]),
        (Sampling(temperature=2.0, min_p=0.2), [TemperatureLogitsWarper(2.0), MinPLogitsWarper(0.2)]),
        (
            Sampling(temperature=1.5, top_k=20, top_p=0.9, min_p=0.05),
            [TemperatureLogitsWarper(1.5), TopKLogitsWarper(20), TopPLogitsWarper(0.9), MinPLogitsWarper(0.05)],
        ),
    ],
)
def test_probabilities_equal_those_of_transformers(sampling: Sampling, limits: list[Any]) -> None:
    logits = 2 * np.random.default_rng(0).standard_normal(VOCABULARY).astype(np.float32)
    ours, chosen = distribution(sampling, logits)
    scores = LogitsProcessorList(limits)(torch.zeros(1, 0, dtype=torch.long), torch.from_numpy(logits)[None])
    expected = torch.softmax(scores[0], -1).numpy()
    found = np.array([ours.get(token, 0.0) for token in range(VOCABULARY)])
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert expected[chosen] > 0


def test_temperature_zero_takes_the_likeliest() -> None:
    logits = np.random.default_rng(1).standard_normal(VOCABULARY).astype(np.float32)
    assert distribution(Sampling(), logits)[1] == int(logits.argmax())


def test_of_equally_likely_tokens_the_first_is_taken_as_by_llama_cpp() -> None:
    logits = np.random.default_rng(2).integers(0, 4, VOCABULARY).astype(np.float32)
    with Sampler(llama_library(), Sampling(), vocabulary_size=VOCABULARY, context=64, history=[]) as sampler:
        assert sampler.sample(None, logits) == distribution(Sampling(), logits)[1]


def test_a_seed_repeats_and_seeds_differ() -> None:
    logits = np.zeros(VOCABULARY, np.float32)
    draws = [[distribution(Sampling(temperature=1.0, seed=seed), logits)[1] for seed in range(30)] for _ in range(2)]
    assert draws[0] == draws[1]
    assert len(set(draws[0])) > 10


def test_tokens_of_the_prompt_are_penalised() -> None:
    logits = np.linspace(1, 2, VOCABULARY, dtype=np.float32)
    best = VOCABULARY - 1
    assert distribution(Sampling(repetition_penalty=1.5), logits, history=[best])[1] == best - 1


@pytest.mark.parametrize(("presence", "frequency"), [(1.5, 0.0), (0.0, 0.7), (-2.0, 2.0)])
def test_penalties_are_taken_off_as_openai_defines_them(presence: float, frequency: float) -> None:
    """`mu[j] -> mu[j] - c[j] * alpha_frequency - float(c[j] > 0) * alpha_presence`, for what the answer has so far."""
    logits = 2 * np.random.default_rng(3).standard_normal(VOCABULARY).astype(np.float32)
    prompt, answer = [1, 1, 2, 30], [3, 4, 4, 4, 59, 3]
    counts = np.bincount(answer, minlength=VOCABULARY)
    expected = torch.softmax(torch.from_numpy(logits - counts * frequency - (counts > 0) * presence), -1).numpy()
    sampling = Sampling(temperature=1.0, presence_penalty=presence, frequency_penalty=frequency)
    found, _ = distribution(sampling, logits, history=[*prompt, *answer], answer=answer)
    np.testing.assert_allclose([found[token] for token in range(VOCABULARY)], expected, atol=1e-5)


def test_penalties_and_a_bias_count_for_the_likeliest_token_too() -> None:
    logits = np.linspace(1, 2, VOCABULARY, dtype=np.float32)
    best = VOCABULARY - 1
    for sampling in (Sampling(presence_penalty=0.5), Sampling(frequency_penalty=0.1)):
        assert distribution(sampling, logits, answer=[best] * 5)[1] < best
        assert distribution(sampling, logits, history=[best] * 5)[1] == best  # of the prompt
    assert distribution(Sampling(logit_bias={best: -100, 7: 100}), logits)[1] == 7


def test_a_bias_is_added_to_the_logits() -> None:
    logits = np.random.default_rng(4).standard_normal(VOCABULARY).astype(np.float32)
    shift = np.zeros(VOCABULARY, np.float32)
    shift[[0, 5]] = [1.5, -3]
    found, _ = distribution(Sampling(temperature=1.0, logit_bias={0: 1.5, 5: -3}), logits)
    expected = torch.softmax(torch.from_numpy(logits + shift), -1).numpy()
    np.testing.assert_allclose([found[token] for token in range(VOCABULARY)], expected, atol=1e-5)


def test_kept_logits_are_sampled_from_as_llama_cpp_samples_from_its_own() -> None:
    logits = np.random.default_rng(5).standard_normal(VOCABULARY).astype(np.float32)
    for seed in range(10):
        sampling = Sampling(temperature=1.2, seed=seed)
        with Sampler(llama_library(), sampling, vocabulary_size=VOCABULARY, context=64, history=[]) as sampler:
            assert sampler.sample(None, logits) == distribution(sampling, logits)[1]


def test_a_sampler_may_be_closed_twice() -> None:
    sampler = Sampler(llama_library(), Sampling(), vocabulary_size=4, context=8, history=[])
    sampler.close()
    sampler.close()
