"""The bundle: one folder with the graphs, the language model and what both need to know.

`bundle.json` is validated whenever a bundle is opened; the SHA-256 of its files only on
request (`Bundle.verify`), because reading gigabytes at every start would be waste.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from uhd_edge.runtime.errors import BundleError, EngineUnavailableError

FORMAT_VERSION = 1
MANIFEST = "bundle.json"

Mode = Literal["16x", "4x"]
Precision = Literal["fp32", "fp16", "int8"]

# A path inside the bundle: relative, with forward slashes, never upwards.
BundlePath = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*$")]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Count = Annotated[int, Field(ge=1)]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Vision(_Record):
    """Sizes of the vision tower that the runtime needs.

    `window` and `merge` are the sides of the compressor's and the connector's squares
    (2 and 2); `merge_rounds` is how often the connector merges.
    """

    hidden_size: Count
    layers: Count
    insert_layer: Annotated[int, Field(ge=0)]
    table_side: Count
    window: Count
    merge: Count
    merge_rounds: Count


class Preprocessing(_Record):
    """How an image becomes views: the values of the checkpoint's image processor."""

    scale_resolution: Count
    max_slices: Count
    patch_size: Count
    slicing: bool
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
    the template.
    """

    chat_template: str
    tokens: SpecialTokens
    stop_ids: Annotated[tuple[int, ...], Field(min_length=1)]
    use_image_id: bool
    bos_token: str | None = None
    eos_token: str | None = None


class Graphs(_Record):
    """The graph files of one mode in one precision."""

    encoder: BundlePath
    connector: BundlePath


class LanguageModelFile(_Record):
    """The GGUF and what it was made from. `hidden_size` is the width of an embedding."""

    file: BundlePath
    architecture: str
    type: str
    hidden_size: Count
    vocabulary_size: Count


class FileRecord(_Record):
    """Size in bytes and SHA-256 of one file."""

    bytes: Annotated[int, Field(ge=0)]
    sha256: Sha256


class Manifest(_Record):
    """The contents of `bundle.json`."""

    format: Literal[1]
    architecture: Literal["minicpmv4_6"]
    name: str
    default_mode: Mode
    vision: Vision
    preprocessing: Preprocessing
    prompt: Prompt
    graphs: Annotated[dict[Mode, dict[Precision, Graphs]], Field(min_length=1)]
    llm: LanguageModelFile
    files: dict[BundlePath, FileRecord]


@dataclass(frozen=True)
class Bundle:
    """A bundle on disk whose manifest has been read and found valid."""

    path: Path
    manifest: Manifest

    @classmethod
    def open(cls, path: str | Path | None = None) -> Bundle:
        """Open the bundle at `path`, or the built-in uhd-tiny without one.

        Raises `BundleError` when the folder is missing, half written, of another format
        version, or lacks one of its files.
        """
        folder = builtin_bundle() if path is None else Path(path).expanduser()
        bundle = cls(folder, read_manifest(folder))
        bundle._check_files_exist()
        return bundle

    def graphs(self, mode: Mode, precision: Precision) -> tuple[Path, Path]:
        """Encoder and connector graph of `mode` in `precision`.

        Raises `EngineUnavailableError` naming what the bundle does have.
        """
        graphs = self.manifest.graphs.get(mode, {}).get(precision)
        if graphs is None:
            raise EngineUnavailableError(
                f"{self.path}: no {mode} graphs in {precision}; the bundle has {self.describe_graphs()}"
            )
        return self.path / graphs.encoder, self.path / graphs.connector

    def describe_graphs(self) -> str:
        """The modes and precisions in words, such as `16x (fp32, fp16), 4x (fp32)`."""
        return ", ".join(f"{mode} ({', '.join(by_precision)})" for mode, by_precision in self.manifest.graphs.items())

    @property
    def llm_path(self) -> Path:
        """The GGUF file of the language model."""
        return self.path / self.manifest.llm.file

    def verify(self) -> None:
        """Compare the SHA-256 of every file with the manifest; raises `BundleError` listing the changed ones."""
        changed = [
            name for name, record in self.manifest.files.items() if sha256_of(self.path / name) != record.sha256
        ]
        if changed:
            raise BundleError(
                f"{self.path}: changed since it was written: {', '.join(changed)}; export the bundle again"
            )

    def _check_files_exist(self) -> None:
        """Presence and size: cheap, and enough to catch a copy that broke off."""
        for name, record in self.manifest.files.items():
            file = self.path / name
            if not file.is_file():
                raise BundleError(f"{self.path}: {name} is missing; export or copy the bundle again")
            if file.stat().st_size != record.bytes:
                raise BundleError(
                    f"{self.path}: {name} has {file.stat().st_size} bytes instead of {record.bytes}; "
                    "export or copy the bundle again"
                )


def builtin_bundle() -> Path:
    """The folder of uhd-tiny, which is installed with the package."""
    return Path(str(resources.files("uhd_edge.runtime") / "uhd-tiny"))


def read_manifest(folder: Path) -> Manifest:
    """Read and validate `bundle.json`; raises `BundleError` with the first thing that is wrong."""
    if not folder.is_dir():
        raise BundleError(f"{folder}: no such bundle folder; make one with `uhd export CHECKPOINT {folder}`")
    try:
        text = (folder / MANIFEST).read_bytes()
    except OSError as error:
        raise BundleError(f"{folder}: not a bundle, {MANIFEST} cannot be read ({error.strerror})") from error
    try:
        _refuse_other_versions(folder, text)
        return Manifest.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise BundleError(f"{folder / MANIFEST}: {where}: {first['msg']}; export the bundle again") from error


class _Version(BaseModel):
    format: int


def _refuse_other_versions(folder: Path, text: bytes) -> None:
    found = _Version.model_validate_json(text).format
    if found != FORMAT_VERSION:
        raise BundleError(
            f"{folder / MANIFEST}: bundle format {found}, this version reads format {FORMAT_VERSION}; "
            "export the bundle again with this version of uhd-edge"
        )


def sha256_of(file: Path) -> str:
    """Hexadecimal SHA-256 of a file, read in pieces."""
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while piece := stream.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()
