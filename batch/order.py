"""What is asked of what, and how: all that the answers depend on."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from uhd_edge.engines.checksums import compute_sha256
from uhd_edge.runtime.bundles.bundle import MANIFEST
from uhd_edge.runtime.options import check_options
from uhd_edge.runtime.release import installed_version

if TYPE_CHECKING:
    from collections.abc import Mapping

    from uhd_edge.engines.names import EngineName
    from uhd_edge.rows.source import RowSource
    from uhd_edge.runtime.bundles.bundle import Bundle
    from uhd_edge.runtime.modes import Mode, Precision
    from uhd_edge.runtime.options import AskOptions

FORMAT = 1


@dataclass(frozen=True)
class Opening:
    """How the bundle is opened, as for `Assistant`."""

    mode: Mode | None = None
    max_slices: int | None = None
    engine: EngineName = "auto"
    precision: Precision | Literal["auto"] = "auto"
    context: int = 4096
    gpu_layers: int | Literal["auto"] = "auto"


@dataclass(frozen=True)
class Asking:
    """How any question is asked: the bundle, how it is opened, and the settings of a question.

    A `schema` among the `options` is its text. Raises `OptionError` or `SchemaError` for an invalid option.
    """

    bundle: Bundle
    opening: Opening
    options: AskOptions

    def __post_init__(self) -> None:
        check_options(self.options)


@dataclass(frozen=True)
class Order:
    """`questions` are asked of every row of `source`; without any, a row has its own.

    Rows are written in the order of `source`, or as they are ready (`ordered` is False).
    """

    asking: Asking
    source: RowSource
    questions: tuple[str, ...]
    ordered: bool = True

    def count(self) -> int:
        """How many rows the answers will have; raises `DataSetError` for a file that is broken."""
        return self.source.count() * max(1, len(self.questions))

    def head(self) -> Mapping[str, Any]:
        """All of this in a form that is kept beside the answers; a run goes on only where it is the same."""
        bundle = self.asking.bundle
        return {
            "format": FORMAT,
            "uhd_edge": installed_version(),
            "input": {"name": self.source.name, "sha256": self.source.sha256},
            "bundle": {"name": bundle.manifest.name, "sha256": compute_sha256(bundle.path / MANIFEST)},
            "questions": list(self.questions),
            "opening": asdict(self.asking.opening),
            "options": dict(self.asking.options),
            "order": "of the input" if self.ordered else "as rows are ready",
        }
