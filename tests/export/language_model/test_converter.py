"""llama.cpp's converter is taken from a named folder, the cache, or the package index; here without a network."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from uhd_edge.export.language_model import converter
from uhd_edge.runtime.errors import ExportError
from uhd_edge.runtime.user_cache import user_cache

VERSION = converter.installed_version()
ROOT = f"llama_cpp_python-{VERSION}/vendor/llama.cpp"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and no folder named by the environment."""
    monkeypatch.delenv("UHD_LLAMA_CPP", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "uhd-edge"


def source_package(file: Path, names: list[str]) -> None:
    with tarfile.open(file, "w:gz") as archive:
        for name in names:
            member = tarfile.TarInfo(name)
            data = f"content of {Path(name).name}".encode()
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
        link = tarfile.TarInfo(f"{ROOT}/conversion/link.py")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)


def pretend_pip(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Let `python -m pip download ..` be a script that finds the destination in `$dest`."""
    file = folder / "python"
    find = 'while [ "$1" != --dest ]; do shift; done; dest=$2; wanted=$3\n'
    file.write_text(f"#!/bin/sh\n{find}{script}\n")
    file.chmod(0o755)
    monkeypatch.setattr(converter.sys, "executable", str(file))


def test_only_what_the_converter_needs_is_kept(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    needed = [
        "convert_hf_to_gguf.py",
        "LICENSE",
        "conversion/qwen.py",
        "gguf-py/gguf/scripts/a.py",
        "models/templates/Qwen3.5-4B.jinja",
    ]
    others = [
        "ggml/ggml.c",
        "conversion/../../../../evil.py",
        "conversionist.py",
        "models/templates/other.jinja",
        "gguf-py/README.md",
        "convert_hf_to_gguf.py.orig",
    ]
    package = tmp_path / "package.tar.gz"
    source_package(
        package, [*(f"{ROOT}/{name}" for name in [*needed, *others]), "convert_hf_to_gguf.py", "/etc/evil.py"]
    )
    pretend_pip(tmp_path, monkeypatch, f'[ "$wanted" = llama-cpp-python=={VERSION} ] && cp {package} "$dest/"')
    folder = converter.converter_folder()
    assert folder == cache / f"llama.cpp-{VERSION}"
    kept = sorted(
        str(file.relative_to(tmp_path / "cache")) for file in (tmp_path / "cache").rglob("*") if file.is_file()
    )
    assert kept == sorted(f"uhd-edge/llama.cpp-{VERSION}/{name}" for name in needed)
    assert (folder / "LICENSE").read_text() == "content of LICENSE"


def test_what_is_in_the_cache_is_not_fetched_again(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "package.tar.gz"
    source_package(package, [f"{ROOT}/convert_hf_to_gguf.py"])
    pretend_pip(tmp_path, monkeypatch, f'cp {package} "$dest/"')
    first = converter.converter_folder()
    pretend_pip(tmp_path, monkeypatch, "exit 1")
    assert converter.converter_folder() == first


def test_a_cache_without_the_template_is_completed_from_the_command_line(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    old, new = tmp_path / "old.tar.gz", tmp_path / "new.tar.gz"
    source_package(old, [f"{ROOT}/convert_hf_to_gguf.py"])
    source_package(new, [f"{ROOT}/convert_hf_to_gguf.py", f"{ROOT}/{converter.TEMPLATE}"])
    pretend_pip(tmp_path, monkeypatch, f'cp {old} "$dest/"')
    folder = converter.converter_folder()
    pretend_pip(tmp_path, monkeypatch, f'cp {new} "$dest/"')
    assert converter.converter_folder() == folder == converter.expected_folder()
    assert not (folder / converter.TEMPLATE).exists()
    assert converter.main() == 0
    assert (folder / converter.TEMPLATE).read_text() == "content of Qwen3.5-4B.jinja"
    pretend_pip(tmp_path, monkeypatch, "exit 1")
    assert converter.main() == 0
    assert capsys.readouterr().out == f"{folder}\n" * 2


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (
            "echo warning >&2; echo 'ERROR: No matching distribution found' >&2; exit 1",
            "No matching distribution found",
        ),
        ("exit 1", "pip found no source package"),
        ("exit 0", "pip found no source package"),
        ('echo nonsense > "$dest/package.tar.gz"', "not a gzip file"),
        ('cp "$EMPTY" "$dest/package.tar.gz"', "package.tar.gz has no convert_hf_to_gguf.py"),
    ],
)
def test_a_failed_download_says_what_to_do_instead_and_leaves_nothing(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, script: str, reason: str
) -> None:
    source_package(tmp_path / "empty.tar.gz", [f"{ROOT}/LICENSE"])
    monkeypatch.setenv("EMPTY", str(tmp_path / "empty.tar.gz"))
    pretend_pip(tmp_path, monkeypatch, script)
    with pytest.raises(ExportError) as caught:
        converter.converter_folder()
    assert reason in str(caught.value)
    assert "--llm FILE.gguf" in str(caught.value)
    assert "UHD_LLAMA_CPP" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert list(cache.iterdir()) == []


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(ExportError, match=r"Not a directory: .*file/uhd-edge"):
        converter.converter_folder()


def test_a_folder_from_the_environment_is_taken(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "package" / "vendor" / "llama.cpp"
    (source / "conversion").mkdir(parents=True)
    (source / "convert_hf_to_gguf.py").touch()
    for named in (source, tmp_path / "package"):
        monkeypatch.setenv("UHD_LLAMA_CPP", str(named))
        assert converter.converter_folder() == source
    monkeypatch.setenv("UHD_LLAMA_CPP", str(tmp_path))
    with pytest.raises(ExportError, match=r"UHD_LLAMA_CPP=.*: no convert_hf_to_gguf\.py and conversion folder there"):
        converter.converter_folder()
    assert not cache.exists()


def test_the_cache_is_filled_from_the_command_line(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (cache / f"llama.cpp-{VERSION}").mkdir(parents=True)
    (cache / f"llama.cpp-{VERSION}" / "convert_hf_to_gguf.py").touch()
    (cache / f"llama.cpp-{VERSION}" / converter.TEMPLATE).parent.mkdir(parents=True)
    (cache / f"llama.cpp-{VERSION}" / converter.TEMPLATE).touch()
    assert converter.main() == 0
    assert capsys.readouterr().out.strip() == str(cache / f"llama.cpp-{VERSION}")
    monkeypatch.setenv("UHD_LLAMA_CPP", str(tmp_path))
    assert converter.main() == 1
    assert "no convert_hf_to_gguf.py" in capsys.readouterr().err


def test_the_cache_lies_in_the_home_folder_otherwise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for value in ("", "relative/folder"):
        monkeypatch.setenv("XDG_CACHE_HOME", value)
        assert user_cache() == tmp_path / ".cache" / "uhd-edge"
