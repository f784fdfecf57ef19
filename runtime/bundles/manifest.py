"""What `bundle.json` says: the sizes, values and files that the runtime needs, validated when read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

from uhd_edge.engines.checksums import compute_sha256
from uhd_edge.runtime.bundles.backbones import BackboneName
from uhd_edge.runtime.bundles.compressors import CompressorName, ConnectorName
from uhd_edge.runtime.modes import Mode

if TYPE_CHECKING:
    from pathlib import Path

# Since format 2 one encoder may serve both modes.
FORMAT_VERSION: Final = 2
READABLE_FORMATS: Final = (1, 2)

# INT8 comes in two graphs: the one ONNX Runtime is fast at on a CPU, and the symmetric one TensorRT wants.
# FP8 and NVFP4 are for TensorRT; NVFP4 runs nowhere else.
GraphKind = Literal["fp32", "fp16", "int8", "int8-tensorrt", "fp8", "nvfp4"]

# How the relative height of row i of n is computed: i / n, or i steps of 1 / n.
Coordinates = Literal["quotients", "steps"]

# A path inside the bundle: relative, with forward slashes, never upwards.
BundlePath = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*$")
]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Count = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, le=1)]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Vision(_Record):
    """Sizes of the vision tower that the runtime needs.

    `window` and `merge` are the sides of the compressor's and the connector's squares
    (2 and 2); `merge_rounds` is how often the connector merges. A `window` of 1 means that there
    is no compressor: the connector alone merges, after all layers. `coordinates` decides, by the
    last bit, into which row of the position table a patch falls that lies on the border of two.
    `backbone` is the kind of tower (see `uhd_edge.runtime.bundles.backbones`).
    `intermediate_size`, the width of the MLPs, is for counting operations alone; bundles from
    before it was recorded do without. `compressor` and `connector` say which of those in
    `uhd_edge.runtime.bundles.compressors` they are; a resampler makes `queries` embeddings of
    every view.
    """

    backbone: BackboneName = "siglip2"
    hidden_size: Count
    intermediate_size: Count | None = None
    layers: Count
    insert_layer: Annotated[int, Field(ge=0)]
    table_side: Count
    window: Count
    merge: Count
    merge_rounds: Count
    coordinates: Coordinates = "quotients"
    compressor: CompressorName = "window-reuse"
    connector: ConnectorName = "mlp"
    queries: Count | None = None

    @model_validator(mode="after")
    def _a_resampler_has_queries(self) -> Vision:
        if (self.connector == "resampler") != (self.queries is not None):
            raise ValueError(f"queries is {self.queries}, and the connector is {self.connector}")
        return self

    @property
    def has_compressor(self) -> bool:
        """Whether tokens are merged within the tower."""
        return self.window > 1

    @property
    def has_both_modes(self) -> bool:
        """Whether the tower can do without its compressor; a resampler has the queries of one mode."""
        return self.has_compressor and self.connector == "mlp"

    @property
    def feature_width(self) -> int:
        """Numbers in a feature between encoder and connector; a resampler is told its row and column too."""
        return self.hidden_size + (2 if self.connector == "resampler" else 0)


class Preprocessing(_Record):
    """How an image becomes views: the values of the checkpoint's image processor.

    `encoding` is `slices` for a thumbnail and slices, `global` for one view of the image's own
    size, shrunk to the pixels of `max_slices` views where it has more.
    """

    scale_resolution: Count
    max_slices: Count
    patch_size: Count
    slicing: bool
    encoding: Literal["slices", "global"] = "slices"
    rescale_factor: float
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    resample: Annotated[int, Field(ge=0, le=5)]


class SpecialTokens(_Record):
    """The prompt's special tokens, as text."""

    image: str
    image_start: str
    image_end: str
    slice_start: str
    slice_end: str
    image_id_start: str
    image_id_end: str


class Prompt(_Record):
    """How messages become text: the checkpoint's own chat template and special tokens.

    `stop_ids` are the token ids that end an answer; `use_image_id` puts
    `<image_id>0</image_id>` before each image; `bos_token` and `eos_token` are handed to
    the template. `normalization` is the Unicode form that the tokenizer brings text into,
    which llama.cpp leaves to its caller. `canvas` says that the tokens of an image have positions
    in the plane (see `uhd_edge.runtime.prompt.canvas`).
    """

    chat_template: str
    tokens: SpecialTokens
    stop_ids: Annotated[tuple[int, ...], Field(min_length=1)]
    use_image_id: bool
    bos_token: str | None = None
    eos_token: str | None = None
    normalization: Literal["NFC"] | None = None
    canvas: bool = False


class Graphs(_Record):
    """The graph files of one mode in one precision.

    `both_modes` says that the encoder is that of the other mode too, and has the input
    `uncompressed`, which chooses between them (see `uhd_edge.runtime.vision.patches`).
    """

    encoder: BundlePath
    connector: BundlePath
    both_modes: bool = False


class Threshold(_Record):
    """What an engine's embeddings must reach beside those of FP32 on ONNX Runtime to be trusted.

    `cosine` is the lowest of any view, `token_cosine` the lowest of any single token, and
    `agreement` the share of greedy answers that must be the same.
    """

    cosine: Share = 0.999
    token_cosine: Share = 0.9
    agreement: Share = 0.0


class Thresholds(_Record):
    """One `Threshold` for each precision.

    FP8 has fewer digits than INT8, and loses about four times as much. NVFP4 loses so much that `auto` never
    takes it.
    """

    fp32: Threshold = Threshold(cosine=0.9999, token_cosine=0.999)
    fp16: Threshold = Threshold(cosine=0.999, token_cosine=0.99)
    int8: Threshold = Threshold()
    fp8: Threshold = Threshold(cosine=0.998)
    nvfp4: Threshold = Threshold(cosine=0.97, token_cosine=0.8)


class LanguageModelFile(_Record):
    """The GGUF and what it was made from. `hidden_size` is the width of an embedding."""

    file: BundlePath
    architecture: str
    type: str
    hidden_size: Count
    vocabulary_size: Count


class Origin(_Record):
    """The files that a bundle was made from: repositories on the Hub, each at one commit, or folders."""

    checkpoint: str
    checkpoint_revision: str | None = None
    language_model: str | None = None
    language_model_revision: str | None = None


class FileRecord(_Record):
    """Size in bytes and SHA-256 of one file."""

    bytes: Annotated[int, Field(ge=0)]
    sha256: Sha256


def record_file(file: Path) -> FileRecord:
    """Read the size and SHA-256 of a file; raises `OSError` when it cannot be read."""
    return FileRecord(bytes=file.stat().st_size, sha256=compute_sha256(file))


class Manifest(_Record):
    """The contents of `bundle.json`.

    `calibration` is the report of the calibration that the INT8 and FP8 graphs come from, `origin` what a
    bundle that `uhd pull` has brought was made from.
    """

    format: Literal[1, 2]
    architecture: Literal["minicpmv4_6", "minicpmv4_7", "llava_uhd_v4"]
    name: str
    default_mode: Mode
    vision: Vision
    preprocessing: Preprocessing
    prompt: Prompt
    graphs: Annotated[dict[Mode, dict[GraphKind, Graphs]], Field(min_length=1)]
    llm: LanguageModelFile
    files: dict[BundlePath, FileRecord]
    thresholds: Thresholds = Thresholds()
    calibration: BundlePath | None = None
    origin: Origin | None = None

    @field_validator("graphs")
    @classmethod
    def _every_mode_has_graphs(cls, graphs: dict[Mode, dict[GraphKind, Graphs]]) -> dict[Mode, dict[GraphKind, Graphs]]:
        empty = [mode for mode, by_kind in graphs.items() if not set(by_kind) - {"int8-tensorrt", "nvfp4"}]
        if empty:
            raise ValueError(f"{', '.join(empty)} has no graphs")
        return graphs

    @model_validator(mode="after")
    def _default_mode_has_graphs(self) -> Manifest:
        if self.default_mode not in self.graphs:
            raise ValueError(f"default_mode is {self.default_mode}, which has no graphs")
        return self

    def unrecorded(self) -> list[str]:
        """List the files that are named in the manifest without their size and SHA-256."""
        graphs = (graphs for by_kind in self.graphs.values() for graphs in by_kind.values())
        named = [self.llm.file, *(path for pair in graphs for path in (pair.encoder, pair.connector))]
        named += [] if self.calibration is None else [self.calibration]
        return [name for name in dict.fromkeys(named) if name not in self.files]
