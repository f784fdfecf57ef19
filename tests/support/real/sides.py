"""What transformers makes of the five pictures, and what a bundle makes of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from parity.conversations import Reference, content, generate_greedily, messages
from support.checkpoints import load_model
from support.real.questions import QUESTIONS
from support.real.table import Row

from uhd_edge.runtime import Assistant
from uhd_edge.runtime.llm.language_model import LanguageModel
from uhd_edge.runtime.llm.sampling import Sampling
from uhd_edge.runtime.prompt.layout import fill_slots
from uhd_edge.runtime.prompt.room import PromptInputs
from uhd_edge.runtime.prompt.template import TemplateOptions
from uhd_edge.runtime.prompt.thinking import SWITCH
from uhd_edge.runtime.vision.comparison import compare_view
from uhd_edge.runtime.vision.slicing import plan_views

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from uhd_edge.runtime.bundles.bundle import Bundle
    from uhd_edge.runtime.bundles.manifest import Threshold
    from uhd_edge.runtime.modes import Mode, Precision
    from uhd_edge.runtime.vision.encoder import Encoded

TOKENS = 24
# Where transformers itself is this undecided between two tokens, rounding decides.
TIE = 0.02
# The largest error of FP32, in standard deviations of transformers' embeddings.
MOST_ERROR = 1e-3


@dataclass(frozen=True)
class Expected:
    """transformers' side of one picture: ids of the prompt, embeddings of each view [tokens, d_llm], answer, ties."""

    ids: list[int]
    views: list[NDArray[np.float32]]
    answer: str
    tokens: list[int]
    decided: int  # so many tokens come before the first tie


@dataclass(frozen=True)
class Found:
    """A row, and in words what is wrong with it."""

    row: Row
    failures: tuple[str, ...]


def thinking(bundle: Bundle) -> bool | None:
    """False where the template has a switch for thoughts: both sides answer at once."""
    return False if SWITCH in bundle.manifest.prompt.chat_template else None


def ask_transformers(checkpoint: Path, modes: list[Mode], think: bool | None) -> dict[Mode, list[Expected]]:
    """Let transformers, in float32, encode the five pictures and answer, in each mode."""
    reference, model = Reference(checkpoint), load_model(checkpoint)
    return {mode: [_expected(reference, model, number, mode, think) for number in range(5)] for mode in modes}


def _expected(reference: Reference, model: Any, number: int, mode: Mode, think: bool | None) -> Expected:
    question = QUESTIONS[number]
    processor = reference.processor
    inputs = processor.apply_chat_template(
        [{"role": "user", "content": [content(question.draw()), content(question.text)]}],
        add_generation_prompt=True,
        tokenize=True,
        return_dict=True,
        return_tensors="pt",
        processor_kwargs={"downsample_mode": mode},
        **({} if think is None else {SWITCH: think}),
    )
    with torch.inference_mode():
        features = model.model.get_image_features(inputs["pixel_values"], inputs["target_sizes"], downsample_mode=mode)
    tokens, ahead = generate_greedily(model, inputs, mode, TOKENS)
    decided = next((step for step, margin in enumerate(ahead) if margin < TIE), len(tokens))
    views = [view.numpy() for view in features.pooler_output]
    answer = processor.post_process_image_text_to_text([tokens])[0]
    return Expected(inputs["input_ids"][0].tolist(), views, answer, tokens, decided)


def row_of_transformers(mode: Mode, expected: list[Expected]) -> Row:
    return Row("transformers", mode, right=_right([one.answer for one in expected]))


def measure_row(bundle: Bundle, exact: Path, precision: Precision, mode: Mode, expected: list[Expected]) -> Found:
    """Encode the five pictures, ask the five questions, and compare; `exact` is the language model in FP32."""
    with Assistant(bundle, mode=mode, engine="onnxruntime", precision=precision) as assistant:
        seen = [assistant.encoder.encode(question.draw()) for question in QUESTIONS]
        think = thinking(bundle)
        answers = [
            assistant.ask(question.draw(), question.text, max_tokens=TOKENS, think=think).text for question in QUESTIONS
        ]
    greedy, differing = ("-", [])
    if precision == "fp32":
        greedy, differing = _compare_texts(bundle, exact, seen, mode, expected)
    cosine, token_cosine, error, failures = _compare_embeddings(
        seen, mode, expected, getattr(bundle.manifest.thresholds, precision)
    )
    if precision == "fp32" and not error <= MOST_ERROR:
        failures.append(f"largest error {error:.1e} of the deviation, more than {MOST_ERROR:.0e}")
    row = Row(
        precision.upper(),
        mode,
        cosine=f"{cosine:.6f}",
        token_cosine=f"{token_cosine:.6f}",
        largest_error=f"{error:.1e}",
        greedy=greedy,
        right=_right(answers),
        view=f"{np.median([_seconds_a_view(one) for one in seen]):.3g}",
    )
    return Found(row, (*failures, *differing))


def _right(answers: list[str]) -> str:
    right = [question.is_right(answer) for question, answer in zip(QUESTIONS, answers, strict=True)]
    wrong = [question.name for question, is_right in zip(QUESTIONS, right, strict=True) if not is_right]
    return f"{sum(right)} of {len(right)}" + (f", not {', '.join(wrong)}" if 0 < len(wrong) < len(right) else "")


def _seconds_a_view(seen: Encoded) -> float:
    return sum(seen.timings_ms[stage] for stage in ("patches", "encoder", "connector")) / 1000 / len(seen.views)


def _compare_embeddings(
    seen: list[Encoded], mode: Mode, expected: list[Expected], threshold: Threshold
) -> tuple[float, float, float, list[str]]:
    """The lowest cosine of a view and of a token, the largest error in deviations, and what is wrong."""
    compared, errors = [], []
    for question, ours, theirs in zip(QUESTIONS, seen, expected, strict=True):
        counts = [view.tokens for view in ours.views]
        if counts != [len(view) for view in theirs.views]:
            return -1.0, -1.0, float("inf"), [f"{question.name}: other views than transformers"]
        split = np.split(ours.embeddings, np.cumsum(counts)[:-1])
        for number, (right, given) in enumerate(zip(theirs.views, split, strict=True)):
            compared.append(compare_view(right, given, picture=question.name, view=str(number), mode=mode))
            errors.append(float(np.abs(right - given).max() / right.std()))
    cosine, token_cosine = min(one.cosine for one in compared), min(one.token_cosine for one in compared)
    failures = [f"cosine {cosine:.6f}, below {threshold.cosine}"] * (cosine < threshold.cosine)
    failures += [f"token cosine {token_cosine:.6f}, below {threshold.token_cosine}"] * (
        token_cosine < threshold.token_cosine
    )
    return cosine, token_cosine, max(errors), failures


def _compare_texts(
    bundle: Bundle, exact: Path, seen: list[Encoded], mode: Mode, expected: list[Expected]
) -> tuple[str, list[str]]:
    """Generate greedily after the same prompts; how many texts are equal up to transformers' first tie, and which not.

    The official language model is quantized, so the comparison has the checkpoint's own in FP32.
    """
    differing, compared = [], 0
    manifest = bundle.manifest
    with LanguageModel(exact, exact=True) as model:
        (placeholder,) = model.vocabulary.tokenize(manifest.prompt.tokens.image)
        for question, encoded, theirs in zip(QUESTIONS, seen, expected, strict=True):
            picture = question.draw()
            plan = plan_views(*picture.size, manifest.preprocessing, mode=mode)
            turns: Any = [("user", [picture, question.text])]
            options = TemplateOptions(thinking(bundle))
            layout = PromptInputs(messages(turns), manifest, [plan], [None], options=options).lay_out(model.vocabulary)
            ids = [
                token
                for part in layout.parts
                for token in (part if isinstance(part, list) else [placeholder] * part.tokens)
            ]
            if ids != theirs.ids:
                differing.append(f"{question.name}: other tokens in the prompt than transformers")
                continue
            model.rewind(0)
            model.prefill(fill_slots(layout, [encoded.embeddings]), layout.positions)
            wanted = theirs.tokens[: theirs.decided]
            given = list(model.generate(Sampling(), max_tokens=len(wanted))) if wanted else []
            if given != wanted:
                differing.append(f"{question.name}: the tokens {given} instead of {wanted}")
            compared += len(wanted)
    return f"{len(QUESTIONS) - len(differing)} of {len(QUESTIONS)}, {compared} tokens", differing
