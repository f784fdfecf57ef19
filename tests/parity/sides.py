"""transformers and ours with the same checkpoint, asked the same two questions one after the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from parity.conversations import Reference, generate_greedily, picture, require_greedy
from support.checkpoints import load_model
from support.language_models.heard import heard_tokens, open_exactly

from uhd_edge.runtime import Assistant
from uhd_edge.runtime.conversation.prompt_memory import WORTH_SAVING

if TYPE_CHECKING:
    from uhd_edge.runtime.bundles.bundle import Bundle
    from uhd_edge.runtime.modes import Mode

QUESTION = "What is the code on the red circle?"
TOKENS = 32
# Where transformers is this undecided between two tokens, rounding decides: with attention caches in FP32, and in F16.
EXACT_TIE, TIE = 1e-4, 0.05

NO, ONE, THREE = [], [picture(0, 365, 211)], [picture(1, 365, 211), picture(2, 153, 174), picture(3, 90, 400)]
ASKED = {
    "no image": (NO, 9),
    "one in one view": (ONE, 1),
    "one in slices": (ONE, 9),
    "three in one view each": (THREE, 1),
    "three in slices": (THREE, 2),
}


@dataclass(frozen=True)
class Greedy:
    """Tokens, by how much each was ahead of the second best, and the length of the prompt before them."""

    tokens: list[int]
    ahead: list[float]
    prompt: int


class Sides:
    """transformers' model and processor, and an assistant with the bundle of the same checkpoint."""

    def __init__(self, checkpoint: Any, bundle: Bundle) -> None:
        self.reference, self.model = Reference(checkpoint), load_model(checkpoint)
        self.bundle, self.assistant, self.exact = bundle, Assistant(bundle, threads=1), open_exactly(bundle)

    def generate(self, turns: Any, mode: Mode, max_slices: int) -> Greedy:
        """transformers' answer."""
        inputs = self.reference.inputs(turns, mode, max_slices)
        return Greedy(*generate_greedily(self.model, inputs, mode, TOKENS), inputs["input_ids"].shape[1])

    def require_two_turns(self, images: list[Any], max_slices: int, mode: Mode, **thinking: int) -> None:
        """Require transformers' tokens in both turns.

        The second question goes on in the session with another image, or in a fork without.
        """
        more = ONE if max_slices == 1 else NO
        options: Any = {"mode": mode, "max_slices": max_slices, "max_tokens": TOKENS, **thinking}
        turns: Any = [("user", [*images, QUESTION * 9])]
        first = self.generate(turns, mode, max_slices)
        assert len(first.tokens) == TOKENS
        with heard_tokens() as heard:
            self.assistant.ask(images, QUESTION * 9, **options)
        require_greedy(heard, first.tokens, first.ahead, tie=TIE)
        with self.exact.session() as session:
            with heard_tokens() as heard:
                answer = session.ask(images, QUESTION * 9, **options)
            require_greedy(heard, first.tokens, first.ahead, tie=EXACT_TIE)
            assert answer.usage.prompt_tokens == first.prompt
            turns += [("assistant", [answer.text]), ("user", [*more, "And here?"])]
            second = self.generate(turns, mode, max_slices)
            assert len(second.tokens) == TOKENS
            with heard_tokens() as heard:
                answer = (session if more else session.fork()).ask(more, "And here?", **options)
            require_greedy(heard, second.tokens, second.ahead, tie=EXACT_TIE)
            assert answer.usage.prompt_tokens == second.prompt
            assert answer.usage.cached_tokens > 0 or first.prompt < WORTH_SAVING
