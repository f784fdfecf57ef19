"""A run: every question in every setting, unless that was answered before.

    settings  ->  for each an assistant of its own  ->  for each question that is not answered yet a row

One assistant is open at a time, because two bundles of the real size may not fit into memory. It is a new one for
each setting, so that no setting finds views in the cache that another has encoded.
"""

from __future__ import annotations

from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from uhd_edge.engines.checksums import compute_sha256
from uhd_edge.evaluation.asking.results_file import ResultsFile, read_rows, results_name
from uhd_edge.evaluation.asking.row import Row, row_of
from uhd_edge.rows.errors import DataSetError, ResultsError
from uhd_edge.rows.pictures import image_input
from uhd_edge.runtime.assistant import Assistant
from uhd_edge.runtime.bundles.bundle import MANIFEST
from uhd_edge.runtime.errors import EngineError, ImageError, PromptError
from uhd_edge.runtime.release import installed_version
from uhd_edge.runtime.vision.opening import EngineOpener

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from uhd_edge.evaluation.asking.settings import Asking, Setting
    from uhd_edge.evaluation.data.data_set import DataSet
    from uhd_edge.evaluation.data.question import Question
    from uhd_edge.runtime.bundles.bundle import Bundle

FORMAT = 1


@dataclass(frozen=True)
class Order:
    """What is asked of what: `settings` in the order of the table, answers into `folder`."""

    bundle: Bundle
    data: DataSet
    settings: tuple[Setting, ...]
    asking: Asking
    folder: Path
    limit: int | None = None

    def file(self, setting: Setting) -> Path:
        """The file of a setting's answers."""
        return self.folder / results_name(setting.label, self.head(setting))

    def head(self, setting: Setting) -> dict[str, Any]:
        """What answers depend on: all of it is in the first line of their file."""
        return {
            "format": FORMAT,
            "uhd_edge": installed_version(),
            "data": {"name": self.data.name, "sha256": self.data.sha256},
            "bundle": {
                "name": self.bundle.manifest.name,
                "sha256": compute_sha256(self.bundle.path / MANIFEST),
            },
            "setting": asdict(setting),
            "asking": asdict(self.asking),
        }


class Run:
    """A run whose files are open; close it, or use it with `with`.

    `notes` has, in order, what the assistants said of the engines they chose.

    Reads the whole data set once, so that a row that cannot be asked is found before anything is. Raises
    `DataSetError` for such a row, `EngineUnavailableError` for a setting that nothing can run, and what `ResultsFile`
    raises.
    """

    def __init__(self, order: Order) -> None:
        self._order = order
        self.notes: dict[str, None] = {}
        _require_engines(order)
        self.count = sum(1 for _ in order.data.questions(order.limit))
        if self.count == 0:
            raise DataSetError(f"{order.data.name}: no questions")
        self._pending: dict[Setting, set[int]] = {}
        self._ran: dict[Setting, str] = {}
        with ExitStack() as opening:
            self._files = {
                setting: opening.enter_context(ResultsFile(order.file(setting), order.head(setting)))
                for setting in order.settings
            }
            for setting in order.settings:
                self._find_pending(setting)
            self._open = opening.pop_all()

    @property
    def left(self) -> int:
        """How many answers are missing, of all settings together."""
        return sum(map(len, self._pending.values()))

    def ask(self) -> Iterator[Row]:
        """Ask what was not answered yet, write each answer, and yield it.

        A picture or a question that cannot be asked becomes a row that says why; it is tried again by the next run.
        Raises `OutputError` when a row cannot be written, and the `UhdError` of an engine or model that does not open.
        """
        for setting in self._order.settings:
            if self._pending[setting]:
                yield from self._ask_in(setting)

    def close(self) -> None:
        """Close the files. Safe to call twice."""
        self._open.close()

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _find_pending(self, setting: Setting) -> None:
        rows = read_rows(self._order.file(setting))
        answered = {number: row for number, row in rows.items() if row.error is None}
        self._pending[setting] = set(range(self.count)) - set(answered)
        self._ran[setting] = next((row.ran for row in answered.values()), "")

    def _ask_in(self, setting: Setting) -> Iterator[Row]:
        order, asking, pending = self._order, self._order.asking, self._pending[setting]
        with Assistant(
            order.bundle,
            mode=setting.mode,
            max_slices=setting.max_slices,
            engine=setting.engine,
            precision=setting.precision,
            context=asking.context,
            threads=asking.threads,
            gpu_layers=asking.gpu_layers,
        ) as assistant:
            ran = self._what_runs(assistant, setting)
            self.notes |= dict.fromkeys(assistant.notes)
            for question in order.data.questions(order.limit):
                if question.number in pending:
                    row = _answer(assistant, question, asking, ran)
                    self._files[setting].append(row)
                    pending.discard(question.number)
                    yield row

    def _what_runs(self, assistant: Assistant, setting: Setting) -> str:
        """Precision and provider; raises `ResultsError` where `auto` chose something else for earlier answers."""
        engines = assistant.encoder.open_mode(setting.mode)
        ran = f"{engines.precision} {engines.encoder.provider}"
        before = self._ran[setting]
        if before not in ("", ran):
            raise ResultsError(
                f"{self._order.file(setting)}: its answers are from {before}, and now {ran} would run; name engine and "
                "precision, or choose another folder"
            )
        return ran


def _require_engines(order: Order) -> None:
    """Find out now what is not in the bundle, rather than after hours of asking in other settings."""
    for one in order.settings:
        opener = EngineOpener(order.bundle, engine=one.engine, precision=one.precision, threads=None, notes=[])
        with closing(opener):
            opener.check(one.mode)


def _answer(assistant: Assistant, question: Question, asking: Asking, ran: str) -> Row:
    place = assistant.language_model_place
    try:
        answer = assistant.ask(
            [image_input(picture) for picture in question.pictures],
            asking.text(question.text),
            max_tokens=asking.max_tokens,
            repetition_penalty=asking.repetition_penalty,
            think=asking.think,
            think_tokens=asking.think_tokens,
        )
    except (ImageError, PromptError, EngineError) as error:
        return Row(question.number, question.name, error=" ".join(str(error).split()), ran=ran, language_model=place)
    return row_of(question.number, question.name, answer, ran=ran, language_model=place)
