"""An assistant: images and a question in, an answer out."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Literal

from uhd_edge.engines.engine import ClosedByWith
from uhd_edge.runtime.answering import answer_question, open_places
from uhd_edge.runtime.ask_methods import ask_method
from uhd_edge.runtime.budget.cost_book import CostBook
from uhd_edge.runtime.bundles.bundle import Bundle
from uhd_edge.runtime.conversation.answer_lock import AnswerLock
from uhd_edge.runtime.conversation.answer_stream import skip_empty
from uhd_edge.runtime.conversation.elsewhere import open_vision_thread
from uhd_edge.runtime.conversation.new_images import decode_images, one_view_per_frame
from uhd_edge.runtime.conversation.retold.latest_messages import LatestMessages
from uhd_edge.runtime.conversation.turns import Conversation, Question
from uhd_edge.runtime.llm.opening import open_language_model
from uhd_edge.runtime.options import as_tuple, check_options, parse_request
from uhd_edge.runtime.release import warn_renamed
from uhd_edge.runtime.timing import Stopwatch, timed
from uhd_edge.runtime.validation import MOST_AT_ONCE, require_whole
from uhd_edge.runtime.vision.encoder import CACHE_BYTES, MOST_CACHE_BYTES, VisionEncoder

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from uhd_edge.engines.names import EngineName
    from uhd_edge.runtime.answer import Answer, Plan
    from uhd_edge.runtime.ask_methods import ImagesInput, QuestionInput
    from uhd_edge.runtime.conversation.answer_stream import AnswerStream
    from uhd_edge.runtime.conversation.request import Request
    from uhd_edge.runtime.modes import Mode, Precision
    from uhd_edge.runtime.options import AskOptions
    from uhd_edge.runtime.session import Session

# With MiniCPM-V 4.6, the memory of a conversation of 1,500 tokens is about 40 MB, a saved state 19 MB.
SESSION_BYTES = 256 * 2**20


class Assistant(ClosedByWith):
    """An open bundle that answers questions; close it, or use it with `with`.

    Args:
        bundle: An open `Bundle`, its folder, or the name of a model that `uhd pull` has brought; None is uhd-tiny.
        mode: "16x" or "4x" for questions that do not choose one; None is the bundle's default.
        max_slices: Most slices of an image, for questions that do not say; None is the bundle's default.
        engine: What runs the vision graphs; "auto" takes the best one that this machine has.
        precision: Precision of the vision graphs; on a CPU "auto" is INT8 if the bundle's calibration
            verified it and the processor gains by it, and FP32 otherwise; see `notes`.
        context: Most tokens of prompt and answer together.
        threads: CPU threads; None is the number of usable cores.
        gpu_layers: Layers of the language model on a GPU: "auto" is all where llama.cpp finds one, -1 is all.
        cache_bytes: Limit of the embedding cache, 0 for none; a view that is in it is not encoded again.
        session_bytes: Limit of what is saved of sessions while others use the language model; the rest is read again.
        at_once: Answers that may be in progress (1 to 16), each with a context; one more ends the oldest. Their tokens
            are generated together, or those of a tiny model in `lanes` threads. Sessions share one of the places.
        keep_prompts: Whether a question that begins like one before goes on from what was read of that.

    `ask` and `stream` start a new conversation with every question, `session` starts one that
    goes on. Questions from several threads are answered one at a time; streams take turns, if `at_once` lets them.

    The language model and the engines of `mode` are opened here, so that the first answer takes no longer than later
    ones; `opening_ms` says how long each took. Engines of another mode are opened by the first question that uses it.

    Raises `BundleError`, `EngineError` or `ModelError` when something cannot be opened, and
    `OptionError` for an invalid setting.
    """

    bundle: Bundle
    opening_ms: Mapping[str, float]
    lanes: int

    def __init__(
        self,
        bundle: Bundle | str | Path | None = None,
        *,
        mode: Mode | None = None,
        max_slices: int | None = None,
        engine: EngineName = "auto",
        precision: Precision | Literal["auto"] = "auto",
        context: int = 4096,
        threads: int | None = None,
        gpu_layers: int | Literal["auto"] = "auto",
        cache_bytes: int = CACHE_BYTES,
        session_bytes: int = SESSION_BYTES,
        at_once: int = 1,
        keep_prompts: bool = False,
    ) -> None:
        self.bundle = Bundle.of(bundle)
        self._mode: Mode = mode or self.bundle.manifest.default_mode
        self._max_slices = max_slices
        session_bytes = require_whole("session_bytes", session_bytes, 0, MOST_CACHE_BYTES)
        at_once = require_whole("at_once", at_once, 1, MOST_AT_ONCE)
        self._encoder = VisionEncoder(
            self.bundle,
            mode=mode,
            max_slices=max_slices,
            engine=engine,
            precision=precision,
            threads=threads,
            cache_bytes=cache_bytes,
        )
        self.opening_ms = opening = dict[str, float]()
        with ExitStack() as undo:
            undo.callback(self._encoder.close)
            with timed(opening, "language_model"):
                sizes = {"context": context, "conversations": at_once}
                self._model = open_language_model(self.bundle, threads=threads, gpu_layers=gpu_layers, **sizes)
            undo.callback(self._model.close)
            with timed(opening, "engines"):
                self._encoder.open_mode(self._mode)
            undo.pop_all()
        self.lanes = self._model.lanes
        self._answer_lock = AnswerLock([one.lane for one in self._model.conversations])
        self._costs = CostBook(self._encoder, self._model, threads=threads)
        self._vision_thread = open_vision_thread() if at_once > 1 else None
        self._places = open_places(
            self._encoder, self._model, self._costs, session_bytes, self._vision_thread, keep_prompts=keep_prompts
        )
        self._latest = LatestMessages(len(self._places), are_kept=keep_prompts)

    @ask_method
    def ask(self, images: ImagesInput, question: QuestionInput, options: AskOptions) -> Answer:
        """Answer a question about images: `ask(images, question)`, or `ask(question)` without images.

        Every question starts a new conversation; `session` is for those that go on.

        Raises `ImageError`, `PromptError` (`ContextError` when images and question are too
        long), `OptionError`, `SchemaError`, `EngineError` or `ModelError`.
        """
        return self._answer_lock.finish(self.steps(images, question, **options))

    @ask_method
    def stream(self, images: ImagesInput, question: QuestionInput, options: AskOptions) -> AnswerStream:
        """Answer as `ask` does, and yield pieces of the text as they are generated; see `AnswerStream`.

        The text is not stripped, and characters are whole. Settings are checked at once; the
        rest happens while pieces are read. An answer need not be read to its end: the next
        question ends it.
        """
        return skip_empty(self.steps(images, question, **options))

    @ask_method
    def steps(self, images: ImagesInput, question: QuestionInput, options: AskOptions) -> AnswerStream:
        """Answer as `stream` does, and yield an empty piece after a step without text.

        A step is, for example, one image encoded or one token generated. Closing the stream between two steps ends it.
        """
        request = self._request(images, question, options)
        begin = self._latest.noting(request, lambda at: answer_question(request, Conversation(), self._places[at]))
        return self._answer_lock.take_turns(begin, self._answer_lock.require_open, liking=self._latest.liking(request))

    def session(
        self,
        images: ImagesInput = None,
        *,
        mode: Mode | None = None,
        max_slices: int | None = None,
        drop_oldest: bool = False,
    ) -> Session:
        """Start a conversation of several turns about images; see `Session`.

        Args:
            images: Images of the first question, as `ask` takes them; decoded now, so that they may change meanwhile.
            mode: "16x" or "4x" for questions that do not choose one; None is the assistant's.
            max_slices: Most slices of an image, for questions that do not say; None is the assistant's.
            drop_oldest: Drop the oldest turns when the context is full, instead of raising
                `ContextError`.

        Raises `ImageError` for something that is not an image and `OptionError` for an invalid
        setting.
        """
        from uhd_edge.runtime.session import Session, SessionDefaults  # which single questions do without

        self._answer_lock.require_open()
        chosen = check_options({"mode": mode, "max_slices": max_slices}, mode=self._mode, max_slices=self._max_slices)
        waiting = tuple(image.copy() for image in decode_images(as_tuple(images), self.bundle.manifest))
        conversation = Conversation(waiting=waiting, drop_oldest=drop_oldest, goes_on=True)
        defaults = SessionDefaults(chosen.mode, chosen.max_slices)
        return Session(self._places[0], self._answer_lock, defaults, conversation)

    def measure(self, progress: Callable[[str], None] = lambda _: None) -> None:
        """Benchmark this machine for `budget_ms`, unless that was done; opens the engines of all modes.

        The first question with a budget does so anyway; this does it beforehand. `progress` is called with a
        description of each step. A stream that is still open ends. Raises `EngineError` or `ModelError`.
        """
        with self._answer_lock.between_answers(self._model):
            self._places[0].planner.measure(tuple(self.bundle.manifest.graphs), progress)

    @ask_method
    def plans(self, images: ImagesInput, question: QuestionInput, options: AskOptions) -> list[Plan]:
        """List the modes and numbers of slices that a question could be answered with, and how long each takes.

        The least work comes first. What does not fit into the context is left out. Times are
        predicted and include decoding the images. Of the settings, `mode`, `max_slices`, `budget_ms`
        and `budget_share` count. Raises what `ask` raises before it encodes.
        """
        with self._answer_lock.between_answers(self._model):
            request = self._request(images, question, options)
            watch, mode = Stopwatch(()), options.get("mode")
            modes = tuple(self.bundle.manifest.graphs) if mode is None else (mode,)
            new = decode_images(request.images, self.bundle.manifest)
            asked, spent = Question(one_view_per_frame(request, new), new, Conversation()), watch.elapsed()
            return self._places[0].planner.plans(asked, modes, spent=lambda: spent)

    @property
    def encoder(self) -> VisionEncoder:
        """The encoder of the images, which can be used alone; it is closed with the assistant."""
        return self._encoder

    @property
    def opening(self) -> Mapping[str, float]:
        """The former name of `opening_ms`."""
        warn_renamed("Assistant.opening", "opening_ms")
        return self.opening_ms

    @property
    def context(self) -> int:
        """Most tokens of prompt and answer together: as requested, but no more than the model was trained for."""
        return self._model.context

    @property
    def language_model_place(self) -> str:
        """Where the language model runs: "CPU", or a GPU with llama.cpp's backend and the layers that are on it."""
        return self._model.place

    @property
    def notes(self) -> tuple[str, ...]:
        """What "auto" chose, and why no better engine or GPU, one line each; complete once the mode was used."""
        return (*self._model.notes, *self._encoder.notes)

    def close(self) -> None:
        """Close the engines and the language model. Safe to call twice."""
        with self._answer_lock.between_steps():
            self._answer_lock.close()
            if self._vision_thread is not None:
                self._vision_thread.shutdown(cancel_futures=True)
            self._costs.store()
            self._encoder.close()
            self._model.close()

    def _request(self, images: ImagesInput, question: QuestionInput, options: AskOptions) -> Request:
        self._answer_lock.require_open()
        modes = tuple(self.bundle.manifest.graphs)
        return parse_request(images, question, options, mode=self._mode, modes=modes, max_slices=self._max_slices)
