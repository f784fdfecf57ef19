"""How the next token is chosen: the likeliest one, or at random within limits, by a seed."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from uhd_edge.runtime.errors import ModelError, OptionError
from uhd_edge.runtime.llm.grammar_sampling import choose, choose_freely
from uhd_edge.runtime.validation import HIGHEST_COUNT, require_number, require_whole

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from uhd_edge.runtime.llm.grammar_sampling import Grammar
    from uhd_edge.runtime.llm.llama_library import LlamaLibrary

# llama.cpp takes the highest seed to mean a random one.
HIGHEST_SEED = 2**32 - 2

MOST_BIASES = 1024

# A lower one, but for 0 itself, would overflow the logits.
LOWEST_TEMPERATURE = 0.01

# A low temperature and a repetition penalty can each multiply a logit by a hundred; larger ones would overflow.
LARGEST_LOGIT = 1e30


@dataclass(frozen=True)
class Sampling:
    """The choice of tokens; the defaults always take the likeliest one.

    `temperature` 0 is greedy, and then only `repetition_penalty` plays a part. `top_k`
    keeps the k likeliest tokens (0 all), `top_p` the likeliest that make up this
    probability, `min_p` those with at least this share of the likeliest one's probability.
    `repetition_penalty` above 1 makes every token of the prompt's text and of the answer
    less likely. `presence_penalty` is taken off the logit of every token that the answer has so
    far, and `frequency_penalty` once for each time. `logit_bias` is added to the logits of the
    tokens with these ids. The same `seed` gives the same text.

    Raises `OptionError` for a value outside its range.
    """

    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    seed: int = 0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    logit_bias: Mapping[int, float] | None = None

    def __post_init__(self) -> None:
        self._number("temperature", 0.0, 100.0, "0, or from 0.01 to 100")
        if self.temperature != 0:  # just above 0 it would overflow the logits, and 0 says what is meant
            self._number("temperature", LOWEST_TEMPERATURE, 100.0, "0, or from 0.01 to 100")
        self._whole("top_k", HIGHEST_COUNT)
        self._number("top_p", 1e-6, 1.0, "above 0 and at most 1")
        self._number("min_p", 0.0, 1.0, "from 0 to 1")
        self._number("repetition_penalty", 0.01, 100.0, "from 0.01 to 100, 1 is off")
        for name in ("presence_penalty", "frequency_penalty"):
            self._number(name, -2.0, 2.0, "from -2 to 2, 0 is off")
        object.__setattr__(self, "logit_bias", _checked_bias(self.logit_bias))
        self._whole("seed", HIGHEST_SEED)

    @property
    def takes_likeliest(self) -> bool:
        """Whether the likeliest token is taken as the model has it."""
        changed = self.repetition_penalty != 1 or self.presence_penalty or self.frequency_penalty or self.logit_bias
        return self.temperature == 0 and not changed

    def _number(self, name: str, lowest: float, highest: float, hint: str) -> None:
        """Convert NumPy's numbers too: llama.cpp accepts only Python's own."""
        object.__setattr__(self, name, require_number(name, getattr(self, name), lowest, highest, hint=hint))

    def _whole(self, name: str, highest: int) -> None:
        object.__setattr__(self, name, require_whole(name, getattr(self, name), 0, highest))


class Sampler:
    """llama.cpp's sampler chain for one answer; close it, or use it with `with`.

    The limits apply in transformers' order (temperature, top-k, top-p, min-p), which is not
    llama.cpp's usual one: the settings recommended with a checkpoint mean this order.
    `history` has the token ids that the repetition penalty counts from the start, `answer` those of
    them that the other two penalties count. With a `grammar`, which is closed with the chain, only
    tokens that it allows are chosen.
    """

    def __init__(
        self,
        library: LlamaLibrary,
        sampling: Sampling,
        *,
        vocabulary_size: int,
        context: int,
        history: Sequence[int],
        answer: Sequence[int] = (),
        grammar: Grammar | None = None,
    ) -> None:
        self._api = library.api
        self._grammar = grammar
        self._takes_likeliest = sampling.takes_likeliest
        self._chain = self._api.llama_sampler_chain_init(self._api.llama_sampler_chain_default_params())
        penalties = _penalties(self._api, sampling, (vocabulary_size, context), history, answer)
        for link in (*penalties, *_links(self._api, sampling)):
            self._api.llama_sampler_chain_add(self._chain, link)

    def sample(self, context: Any | None, logits: NDArray[np.float32]) -> int:
        """Choose the token after the last one decoded, whose logits must be free of NaN, or llama.cpp aborts.

        `context` is None for logits that were kept from before, and are not llama.cpp's own.

        The likeliest token is found here: llama.cpp would copy the vocabulary for its chain first,
        which takes fifty times as long. Of equal ones both take the first.

        Raises `ModelError` when there is none that the grammar allows.
        """
        if self._grammar is not None:
            chain = None if self._takes_likeliest else self._chain
            return choose(self._api, chain, self._grammar, logits)
        if self._takes_likeliest:
            return int(logits.argmax())
        if context is None:
            return choose_freely(self._api, self._chain, logits)
        return int(self._api.llama_sampler_sample(self._chain, context, -1))

    def close(self) -> None:
        """Free the chain. Safe to call twice."""
        if self._chain is not None:
            self._api.llama_sampler_free(self._chain)
        self._chain = None
        if self._grammar is not None:
            self._grammar.close()

    def __enter__(self) -> Sampler:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _penalties(
    api: Any, sampling: Sampling, sizes: tuple[int, int], history: Sequence[int], answer: Sequence[int]
) -> list[Any]:
    """What changes logits, each with the tokens that it counts from the start; `sizes` are vocabulary and context."""
    vocabulary_size, _ = sizes
    links = []
    if sampling.logit_bias:
        biases = [api.llama_logit_bias(token, bias) for token, bias in sampling.logit_bias.items()]
        array = (api.llama_logit_bias * len(biases))(*biases)
        links.append(api.llama_sampler_init_logit_bias(vocabulary_size, len(biases), array))
    if sampling.repetition_penalty != 1:
        links.append(api.llama_sampler_init_penalties(*sizes, sampling.repetition_penalty, 0.0, 0.0))
        for token in history:
            api.llama_sampler_accept(links[-1], token)
    if sampling.presence_penalty or sampling.frequency_penalty:
        both = (sampling.frequency_penalty, sampling.presence_penalty)
        links.append(api.llama_sampler_init_penalties(*sizes, 1.0, *both))
        for token in answer:
            api.llama_sampler_accept(links[-1], token)
    return links


def _links(api: Any, sampling: Sampling) -> list[Any]:
    if sampling.temperature == 0:
        return [api.llama_sampler_init_greedy()]
    links = [api.llama_sampler_init_temp(sampling.temperature)]
    if sampling.top_k > 0:
        links.append(api.llama_sampler_init_top_k(sampling.top_k))
    if sampling.top_p < 1:
        links.append(api.llama_sampler_init_top_p(sampling.top_p, 1))
    if sampling.min_p > 0:
        links.append(api.llama_sampler_init_min_p(sampling.min_p, 1))
    return [*links, api.llama_sampler_init_dist(sampling.seed)]


def _checked_bias(bias: object) -> dict[int, float] | None:
    if bias is None:
        return None
    if not isinstance(bias, Mapping):
        raise OptionError(
            f"logit_bias is {type(bias).__name__}; it must map token ids to numbers", parameter="logit_bias"
        )
    if len(bias) > MOST_BIASES:
        raise OptionError(f"logit_bias has {len(bias)} tokens; it may have {MOST_BIASES}", parameter="logit_bias")
    hint = "from -100 to 100"
    return {
        require_whole("a token id of logit_bias", token, 0, HIGHEST_COUNT): require_number(
            f"logit_bias of token {token}", value, -100.0, 100.0, hint=hint
        )
        for token, value in bias.items()
    }


def newest_logits(api: Any, context: Any, *, vocabulary_size: int, path: Path) -> NDArray[np.float32]:
    """Logits float32 [vocabulary] in llama.cpp's own memory, valid until it reads on, that can be sampled from.

    llama.cpp aborts on NaN and when no token is likely; minus infinity for some tokens is
    safe. This runs for every token, so it looks at the largest logit only, in one pass.
    Raises `ModelError` when nothing has been read yet or the logits are broken.
    """
    pointer = api.llama_get_logits_ith(context, -1)
    if not pointer:
        raise ModelError(f"{path}: nothing has been read yet")
    return require_sound(view_logits(pointer, vocabulary_size), path)


def view_logits(pointer: Any, vocabulary_size: int) -> NDArray[np.float32]:
    """Logits float32 [vocabulary] where llama.cpp's pointer points to, as `as_array` in a quarter of its time."""
    values: Any = (ctypes.c_float * vocabulary_size).from_address(ctypes.addressof(pointer.contents))
    logits: NDArray[np.float32] = np.frombuffer(values, np.float32)
    return logits


def require_sound(logits: NDArray[np.float32], path: Path) -> NDArray[np.float32]:
    """Return logits that can be sampled from; raises `ModelError` for broken ones, see `newest_logits`."""
    if not are_sound(logits):
        raise broken_logits(path)
    return logits


def are_sound(logits: NDArray[np.float32]) -> bool:
    """Whether logits can be sampled from."""
    largest = logits[logits.argmax()]  # which takes less time than `max`, and is NaN when any is
    return bool(abs(largest) < LARGEST_LOGIT)  # NaN is not below the limit


def finite_copy(logits: NDArray[np.float32], path: Path) -> NDArray[np.float32]:
    """Copy the logits; raises `ModelError` when one is not finite."""
    if not np.isfinite(logits).all():
        raise broken_logits(path)
    return logits.copy()


def broken_logits(path: Path) -> ModelError:
    """Describe a model that computes NaN or infinity."""
    return ModelError(f"{path}: the model returned NaN or infinity; its weights or the image are broken")
