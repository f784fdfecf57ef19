"""How the next token is chosen: the likeliest one, or by chance under limits and a seed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from uhd_edge.runtime.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from uhd_edge.runtime.llama_library import LlamaLibrary

# llama.cpp takes its highest seed to mean "any".
HIGHEST_SEED = 2**32 - 2
HIGHEST_COUNT = 2**31 - 1


@dataclass(frozen=True)
class Sampling:
    """The choice of tokens; the defaults always take the likeliest one.

    `temperature` 0 is greedy, and then only `repetition_penalty` plays a part. `top_k`
    keeps the k likeliest tokens (0 all), `top_p` the likeliest that make up this
    probability, `min_p` those with at least this share of the likeliest one's probability.
    `repetition_penalty` above 1 makes every token of the prompt's text and of the answer
    less likely. The same `seed` gives the same text.

    Raises `OptionError` for a value outside its range.
    """

    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        # A temperature just above 0 would overflow the logits, and 0 says what is meant.
        if self.temperature != 0:
            require_number("temperature", self.temperature, 0.01, 100.0, hint="0, or a number from 0.01 to 100")
        require_whole("top_k", self.top_k, 0, HIGHEST_COUNT)
        require_number("top_p", self.top_p, 1e-6, 1.0, hint="above 0 and at most 1")
        require_number("min_p", self.min_p, 0.0, 1.0, hint="from 0 to 1")
        require_number("repetition_penalty", self.repetition_penalty, 0.01, 100.0, hint="from 0.01 to 100, 1 is off")
        require_whole("seed", self.seed, 0, HIGHEST_SEED)


class Sampler:
    """llama.cpp's sampler chain for one answer; close it, or use it with `with`.

    The limits apply in transformers' order (temperature, top-k, top-p, min-p), which is not
    llama.cpp's usual one: the settings recommended with a checkpoint mean this order.
    `history` are the token ids the repetition penalty knows from the start.
    """

    def __init__(
        self, library: LlamaLibrary, sampling: Sampling, *, vocabulary_size: int, context: int, history: Sequence[int]
    ) -> None:
        self._api = library.api
        self._chain = self._api.llama_sampler_chain_init(self._api.llama_sampler_chain_default_params())
        for link in _links(self._api, sampling, vocabulary_size, context):
            self._api.llama_sampler_chain_add(self._chain, link)
        for token in history:
            self._api.llama_sampler_accept(self._chain, token)

    def sample(self, context: Any) -> int:
        """Choose the token after the last one decoded; its logits must be finite, or llama.cpp aborts."""
        return int(self._api.llama_sampler_sample(self._chain, context, -1))

    def close(self) -> None:
        """Free the chain; again is harmless."""
        if self._chain is not None:
            self._api.llama_sampler_free(self._chain)
        self._chain = None

    def __enter__(self) -> Sampler:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _links(api: Any, sampling: Sampling, vocabulary_size: int, context: int) -> list[Any]:
    links = []
    if sampling.repetition_penalty != 1:
        links.append(api.llama_sampler_init_penalties(vocabulary_size, context, sampling.repetition_penalty, 0.0, 0.0))
    if sampling.temperature == 0:
        return [*links, api.llama_sampler_init_greedy()]
    links.append(api.llama_sampler_init_temp(sampling.temperature))
    if sampling.top_k > 0:
        links.append(api.llama_sampler_init_top_k(sampling.top_k))
    if sampling.top_p < 1:
        links.append(api.llama_sampler_init_top_p(sampling.top_p, 1))
    if sampling.min_p > 0:
        links.append(api.llama_sampler_init_min_p(sampling.min_p, 1))
    return [*links, api.llama_sampler_init_dist(sampling.seed)]


def require_number(name: str, value: object, lowest: float, highest: float, *, hint: str) -> None:
    """Raise `OptionError` unless `value` is a finite number from `lowest` to `highest`."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise OptionError(f"{name} is {value!r}; it must be a number, {hint}")
    if not lowest <= value <= highest:
        raise OptionError(f"{name} is {value}; it must be {hint}")


def require_whole(name: str, value: object, lowest: int, highest: int) -> None:
    """Raise `OptionError` unless `value` is a whole number from `lowest` to `highest`."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise OptionError(f"{name} is {value!r}; it must be a whole number")
    if not lowest <= value <= highest:
        raise OptionError(f"{name} is {value}; it must be from {lowest} to {highest}")
