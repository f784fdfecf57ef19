"""Where models are kept, what they may be called, and what is said of a name that is none."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from support.places import EXAMPLES

from uhd_edge.cli.main import exit_code
from uhd_edge.runtime.bundles.bundle import Bundle
from uhd_edge.runtime.bundles.known_models import KNOWN_MODELS
from uhd_edge.runtime.bundles.model_names import find_named, is_name, models_folder, require_name
from uhd_edge.runtime.errors import BundleError, OptionError


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("UHD_MODELS", str(tmp_path / "models"))
    return tmp_path / "models"


def test_models_are_kept_with_the_users_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("UHD_MODELS", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    assert models_folder() == tmp_path / ".local" / "share" / "uhd-edge" / "models"
    monkeypatch.setenv("XDG_DATA_HOME", "relative")  # the specification says to ignore it
    assert models_folder() == tmp_path / ".local" / "share" / "uhd-edge" / "models"
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert models_folder() == tmp_path / "data" / "uhd-edge" / "models"
    monkeypatch.setenv("UHD_MODELS", "~/here")
    assert models_folder() == tmp_path / "here"


@pytest.mark.parametrize("name", ["a", "MiniCPM-V-4.6", "x_1", "9" * 64])
def test_names_are_lower_case(name: str) -> None:
    assert is_name(name)
    assert require_name(name) == name.lower()


@pytest.mark.parametrize("name", ["", ".hidden", "..", "a/b", "-x", "ä", "a b", "a\n", "x" * 65])
def test_what_could_lead_elsewhere_is_no_name(name: str) -> None:
    assert not is_name(name)
    with pytest.raises(OptionError, match="is not a name for a model"):
        require_name(name)


def test_the_known_models_have_names() -> None:
    assert all(require_name(name) == name == model.name for name, model in KNOWN_MODELS.items())


def test_a_folder_that_exists_comes_before_a_model_of_that_name(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    builtin = Bundle.open()
    for folder in (models / "mine", tmp_path / "here" / "mine"):
        shutil.copytree(builtin.path, folder)
    assert Bundle.open("mine").path == models / "mine"
    monkeypatch.chdir(tmp_path / "here")
    assert Bundle.open("mine").path == Path("mine")
    assert Bundle.open("MINE").path == models / "mine"
    assert Bundle.open(Path("uhd-tiny")) == builtin


def test_a_folder_that_is_no_bundle_hides_no_model(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`uhd pull mine` keeps the checkpoint in the folder `mine` as the model `mine`, which then stands beside it."""
    shutil.copytree(Bundle.open().path, models / "mine")
    for name in ("mine", "uhd-tiny", "other"):
        (tmp_path / "here" / name).mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here")
    assert Bundle.open("mine").path == models / "mine"
    assert Bundle.open("uhd-tiny") == Bundle.open()
    for named in ("./mine", "other"):
        with pytest.raises(BundleError, match=r"not a bundle, bundle\.json cannot be read"):
            Bundle.open(named)


def test_a_known_model_that_is_not_here_is_answered_with_the_command_that_brings_it(models: Path) -> None:
    with pytest.raises(BundleError) as caught:
        Bundle.open("MiniCPM-V-4.6")
    assert str(caught.value) == (
        "minicpm-v-4.6 is not on this machine; `uhd pull minicpm-v-4.6` brings it (3.1 GB to download)"
    )
    with pytest.raises(BundleError, match=r"`uhd pull llava-uhd-v4-8m-baseline` brings it \(17.3 GB to download\)"):
        Bundle.open("LLaVA-UHD-v4-8M-Baseline")


def test_an_unknown_name_is_answered_with_what_there_is(models: Path) -> None:
    with pytest.raises(BundleError) as caught:
        Bundle.open("nothing")
    assert "nothing: neither a bundle folder nor a model on this machine (uhd-tiny);" in str(caught.value)
    shutil.copytree(Bundle.open().path, models / "mine")
    (models / ".fetched" / "half").mkdir(parents=True)
    (models / "a file").touch()
    with pytest.raises(BundleError, match=r"\(uhd-tiny, mine\); bring one with `uhd pull MODEL` \(minicpm-v-4.6,"):
        Bundle.open("nothing")
    with pytest.raises(BundleError):
        find_named(".fetched")


def test_a_path_that_does_not_exist_is_no_name(tmp_path: Path, models: Path) -> None:
    for path in (tmp_path / "none", "./none", "some/none"):
        with pytest.raises(BundleError, match="none: no such bundle folder; make one with `uhd export"):
            Bundle.open(path)


@pytest.mark.parametrize("name", ["minicpm-v-4.6/", "MiniCPM-V-4.6//", "openbmb/MiniCPM-V-4.6/"])
def test_a_slash_behind_a_models_name_changes_nothing(name: str, models: Path) -> None:
    with pytest.raises(BundleError, match=r"^minicpm-v-4.6 is not on this machine; `uhd pull minicpm-v-4.6` brings it"):
        Bundle.open(name)
    shutil.copytree(Bundle.open().path, models / "minicpm-v-4.6")
    assert Bundle.open(name).path == models / "minicpm-v-4.6"


@pytest.mark.parametrize("name", ["", " "])
def test_an_empty_name_is_said_to_be_empty(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(BundleError, match=r"^the bundle's name is empty; give a folder or a model's name, or leave it"):
        Bundle.open(name)
    for command in (["ask", str(EXAMPLES / "bench.png"), "What?", "--bundle", name], ["inspect", name]):
        assert exit_code(command) == 1
        assert capsys.readouterr().err.startswith("uhd: the bundle's name is empty; ")


@pytest.mark.parametrize("repository", ["openbmb/MiniCPM-V-4.6", "OpenBMB/minicpm-v-4.6", "openbmb/MiniCPM-V-4.6-gguf"])
def test_a_known_model_has_its_name_on_the_hub_too(repository: str, models: Path) -> None:
    with pytest.raises(BundleError) as caught:
        Bundle.open(repository)
    assert str(caught.value) == (
        "minicpm-v-4.6 is not on this machine; `uhd pull minicpm-v-4.6` brings it (3.1 GB to download)"
    )
    shutil.copytree(Bundle.open().path, models / "minicpm-v-4.6")
    assert Bundle.open(repository).path == models / "minicpm-v-4.6"


def test_a_folder_comes_before_a_repository_of_that_name(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(Bundle.open().path, tmp_path / "openbmb" / "MiniCPM-V-4.6")
    assert Bundle.open("openbmb/MiniCPM-V-4.6").path == Path("openbmb/MiniCPM-V-4.6")


def test_another_repository_can_be_pulled_as_well(models: Path, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"or with `uhd pull some/none` if that is a repository on the Hub$"):
        Bundle.open("some/none")
    for path in (tmp_path / "none", "./none", "a/b/none", "~/none"):
        with pytest.raises(BundleError, match=r"make one with `uhd export CHECKPOINT BUNDLE`$"):
            Bundle.open(path)


def test_a_file_in_place_of_the_models_folder_is_said_in_one_line(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    models.write_text("a file")
    said = f"UHD_MODELS names {models}: a file, but models are kept in a folder; set UHD_MODELS to one"
    with pytest.raises(BundleError) as caught:
        Bundle.open("nothing")
    assert str(caught.value) == said
    for command in (["list"], ["pull", "minicpm-v-4.6"], ["remove", "mine"], ["ask", "a.png", "?", "--bundle", "mine"]):
        photo = [str(EXAMPLES / "bench.png") if word == "a.png" else word for word in command]
        assert exit_code(photo) == 1
        assert capsys.readouterr().err == f"uhd: {said}\n"
    assert Bundle.open().manifest.name  # the built-in model needs no such folder
    monkeypatch.delenv("UHD_MODELS")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    (tmp_path / "uhd-edge").mkdir()
    (tmp_path / "uhd-edge" / "models").touch()
    with pytest.raises(BundleError, match=r"^/.*/uhd-edge/models: a file, but models are kept in a folder"):
        Bundle.open("nothing")
