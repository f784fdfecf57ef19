"""Compare an engine's embeddings and answers with those of FP32 on ONNX Runtime's CPU provider."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from uhd_edge.runtime.checking.answer_comparison import AnswerComparison, EmbeddingPair, compare_answers
from uhd_edge.runtime.checking.counted import counted
from uhd_edge.runtime.checking.pictures import Picture, named_pictures
from uhd_edge.runtime.errors import EngineError, EngineResultError
from uhd_edge.runtime.vision.comparison import ViewComparison, compare_view
from uhd_edge.runtime.vision.encoder import VisionEncoder
from uhd_edge.runtime.vision.encoding import encode_views, view_names
from uhd_edge.runtime.vision.engine_choice import BACKENDS
from uhd_edge.runtime.vision.reference import ReferenceKind, reference_engines, reference_kind
from uhd_edge.runtime.vision.slicing import plan_views, slice_image
from uhd_edge.runtime.vision.usable import require_usable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from uhd_edge.engines.names import EngineName
    from uhd_edge.engines.tensorrt.fused_attention import FusedAttention
    from uhd_edge.runtime.bundles.bundle import Bundle
    from uhd_edge.runtime.bundles.manifest import Threshold
    from uhd_edge.runtime.images.loading import ImageInput
    from uhd_edge.runtime.modes import Mode, Precision
    from uhd_edge.runtime.vision.engine_choice import PrecisionChoice
    from uhd_edge.runtime.vision.slicing import SlicedImage

QUESTION = "Describe the image."
ANSWER_TOKENS = 48


@dataclass(frozen=True)
class Verified:
    """What ran one mode, and which graphs on the CPU it was compared with.

    Of TensorRT engines, the milliseconds of one view, and how many attentions are fused.
    """

    mode: Mode
    provider: str
    precision: Precision
    reference: ReferenceKind = "fp32"
    milliseconds: float | None = None
    fused_attention: FusedAttention | None = None


@dataclass(frozen=True)
class VerificationReport:
    """What was compared, and whether it reaches the bundle's thresholds.

    `failures` says in words what does not; it is empty when the engine is to be trusted.
    `synthetic` tells that the pictures were drawn for the purpose. `notes` are the encoder's.
    """

    verified: tuple[Verified, ...]
    views: tuple[ViewComparison, ...]
    answers: tuple[AnswerComparison, ...]
    failures: tuple[str, ...]
    notes: tuple[str, ...]
    synthetic: bool

    @property
    def passed(self) -> bool:
        """Whether every threshold is reached."""
        return not self.failures

    @property
    def agreement(self) -> float | None:
        """The share of answers that are the same; None when none were compared."""
        return sum(answer.same for answer in self.answers) / len(self.answers) if self.answers else None


def verify_bundle(
    bundle: Bundle,
    *,
    engine: EngineName = "auto",
    precision: PrecisionChoice = "auto",
    images: Sequence[ImageInput] = (),
    modes: Sequence[Mode] | None = None,
    max_slices: int | None = None,
    question: str | None = QUESTION,
    threads: int | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> VerificationReport:
    """Compare an engine with FP32 on ONNX Runtime.

    Without `images` a few pictures are drawn; without `modes` all of the bundle's are
    compared; `question` None leaves the answers out. The verdict on a TensorRT engine is kept, and `auto`
    goes by it. `progress` is told each step. An
    engine that returns NaN or fails has failed; raises `EngineUnavailableError` when it
    cannot be had at all or the bundle has neither FP32 graphs nor FP16 ones, and `ImageError`, `ModelError`
    or `ContextError` as asking does.
    """
    pictures = named_pictures(bundle, images)
    chosen = list(bundle.manifest.graphs) if modes is None else list(modes)
    if engine in BACKENDS:  # the reference takes minutes, so what it is for is looked at before
        for mode in chosen:
            require_usable(bundle, mode, engine, precision)
    compared: list[_ComparedMode] = []
    notes: dict[str, None] = {}  # in their order, each once
    for mode in chosen:
        # A mode's engines are closed before the next one's reference is opened, which takes as much memory.
        with VisionEncoder(
            bundle, mode=mode, max_slices=max_slices, engine=engine, precision=precision, threads=threads
        ) as encoder:
            compared.append(_with_verdict(encoder, _compare_mode(encoder, mode, pictures, threads, progress)))
            notes |= dict.fromkeys(encoder.notes)
    seen = [picture for mode in compared for picture in mode.seen]
    answers: list[AnswerComparison] = []
    if question is not None and seen:
        progress("answers")
        answers = compare_answers(
            bundle, seen, question=question, max_slices=max_slices, max_tokens=ANSWER_TOKENS, threads=threads
        )
    return VerificationReport(
        tuple(mode.verified for mode in compared),
        tuple(view for mode in compared for view in mode.views),
        tuple(answers),
        tuple(failure for mode in compared for failure in _failures(bundle, mode, answers)),
        tuple(notes),
        not images,
    )


@dataclass(frozen=True)
class _ComparedMode:
    """What came of one mode; `errors` are the pictures that the engine failed at.

    `unmeasured` tells that one of them had no result at all, for example because memory ran out.
    """

    verified: Verified
    views: tuple[ViewComparison, ...]
    seen: tuple[EmbeddingPair, ...]
    errors: tuple[str, ...]
    unmeasured: bool = False


def _compare_mode(
    encoder: VisionEncoder,
    mode: Mode,
    pictures: Sequence[Picture],
    threads: int | None,
    progress: Callable[[str], None],
) -> _ComparedMode:
    bundle = encoder.bundle
    preprocessing, limit = bundle.manifest.preprocessing, encoder.max_slices
    sliced = [
        slice_image(image, plan_views(*image.size, preprocessing, mode=mode, max_slices=limit))
        for image in (picture.image for picture in pictures)
    ]
    # One after the other: both at once would need the memory of two vision towers.
    expected = _reference(bundle, mode, sliced, threads, progress)
    engines = encoder.open_mode(mode)
    progress(f"{mode}: {engines.precision} on {engines.encoder.provider}")
    views: list[ViewComparison] = []
    seen: list[EmbeddingPair] = []
    errors: list[str] = []
    unmeasured = False
    for picture, cut, right in zip(pictures, sliced, expected, strict=True):
        try:
            given = encode_views(engines, cut.views, {})
        except EngineError as error:
            errors.append(f"{picture.name}: {error}")
            unmeasured |= not isinstance(error, EngineResultError)
            continue
        views += _compare_views(right, given, picture.name, mode)
        seen.append(EmbeddingPair(picture.name, mode, picture.image.size, np.concatenate(right), np.concatenate(given)))
    verified = Verified(mode, engines.encoder.provider, engines.precision, reference_kind(bundle, mode) or "fp32")
    return _ComparedMode(verified, tuple(views), tuple(seen), tuple(errors), unmeasured)


def _reference(
    bundle: Bundle, mode: Mode, sliced: Sequence[SlicedImage], threads: int | None, progress: Callable[[str], None]
) -> list[list[NDArray[np.float32]]]:
    """Encode every view in FP32, a picture at a time; of a real tower that is the slowest part, so it is told."""
    total, done = sum(len(cut.views) for cut in sliced), 0
    name = (reference_kind(bundle, mode) or "fp32").upper()
    views = counted(total, "view")
    progress(f"{mode}: {name} on ONNX Runtime, {views} on the CPU; with a large model this can take minutes")
    expected: list[list[NDArray[np.float32]]] = []
    begun = time.monotonic()
    with reference_engines(bundle, mode, threads) as reference:
        for cut in sliced:
            expected.append(encode_views(reference, cut.views, {}))
            done += len(cut.views)
            progress(f"{mode}: {name}, {done} of {views} after {time.monotonic() - begun:.0f} s")
    return expected


def _with_verdict(encoder: VisionEncoder, compared: _ComparedMode) -> _ComparedMode:
    """Keep the verdict on TensorRT engines, and add what was measured for it.

    Where an engine had no result, only what others of its results miss is held against it.
    """
    if compared.unmeasured and not list(_failures(encoder.bundle, replace(compared, errors=()), [])):
        return compared
    passed = not list(_failures(encoder.bundle, compared, []))
    verdict = encoder.keep_verdict(compared.verified.mode, passed=passed)
    if verdict is None:
        return compared
    measured = replace(compared.verified, milliseconds=verdict.milliseconds, fused_attention=verdict.fused_attention)
    return replace(compared, verified=measured)


def _compare_views(
    expected: Sequence[NDArray[np.float32]], given: Sequence[NDArray[np.float32]], picture: str, mode: Mode
) -> list[ViewComparison]:
    return [
        compare_view(right, tested, picture=picture, view=name, mode=mode)
        for name, right, tested in zip(view_names(len(expected)), expected, given, strict=True)
    ]


def _failures(bundle: Bundle, compared: _ComparedMode, answers: Sequence[AnswerComparison]) -> Iterator[str]:
    """Say what does not reach the threshold of the precision that ran."""
    mode, precision = compared.verified.mode, compared.verified.precision
    threshold: Threshold = getattr(bundle.manifest.thresholds, precision)
    yield from compared.errors
    for measure, least, what in (
        ("cosine", threshold.cosine, "cosine"),
        ("token_cosine", threshold.token_cosine, "cosine of the worst token"),
    ):
        below = [view for view in compared.views if getattr(view, measure) < least]
        if below:
            worst = min(below, key=lambda view: float(getattr(view, measure)))
            yield (
                f"{mode}: {what} {getattr(worst, measure):.5f} in {worst.view} of {worst.picture} "
                f"is below {least} ({len(below)} of {counted(len(compared.views), 'view')})"
            )
    asked = [answer for answer in answers if answer.mode == mode]
    same = sum(answer.same for answer in asked)
    if asked and same < threshold.agreement * len(asked):
        yield f"{mode}: {same} of {len(asked)} answers are the same, below {threshold.agreement:.0%}"
