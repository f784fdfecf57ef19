"""A bundle comes to a node once, whole, and only where it is not there already."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from uhd_edge.batch.cluster import bundle_copy
from uhd_edge.batch.cluster.bundle_copy import SentBundle, receive_bundle, send_bundle
from uhd_edge.runtime.bundles.bundle import Bundle
from uhd_edge.runtime.errors import BundleError


class Store:
    """An object store: what was put is gotten by its number, and counted."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.gotten = 0

    def put(self, piece: bytes) -> int:
        self.pieces.append(piece)
        return len(self.pieces) - 1

    def get(self, number: int) -> bytes:
        self.gotten += 1
        return self.pieces[number]


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setattr(bundle_copy, "PIECE", 2**20)
    return Store()


@pytest.fixture
def sent(store: Store, tmp_path: Path) -> SentBundle:
    """The built-in bundle, from a node where it lies in a folder that is not here."""
    return replace(send_bundle(Bundle.open(), store.put), path=tmp_path / "not here")


def test_a_copy_has_every_file_of_the_manifest_and_is_made_once(store: Store, sent: SentBundle, tmp_path: Path) -> None:
    copied = receive_bundle(sent, store.get, tmp_path)
    copied.check_files()
    assert copied.manifest == Bundle.open().manifest
    assert store.gotten == len(store.pieces) > len(copied.manifest.files)
    assert receive_bundle(sent, store.get, tmp_path).path == copied.path
    assert store.gotten == len(store.pieces)


def test_where_the_bundle_lies_nothing_is_copied(store: Store, tmp_path: Path) -> None:
    here = send_bundle(Bundle.open(), store.put)
    assert receive_bundle(here, store.get, tmp_path).path == Bundle.open().path
    assert (store.gotten, list(tmp_path.iterdir())) == (0, [])


def test_another_bundle_in_its_place_is_not_taken_for_it(store: Store, sent: SentBundle, tmp_path: Path) -> None:
    (tmp_path / "not here").mkdir()
    (tmp_path / "not here" / "bundle.json").write_text("{}")
    assert receive_bundle(sent, store.get, tmp_path).manifest == Bundle.open().manifest


def test_a_copy_that_was_damaged_on_its_way_is_refused_and_then_made_again(
    store: Store, sent: SentBundle, tmp_path: Path
) -> None:
    whole = store.pieces[-1]
    store.pieces[-1] = whole[:-1] + bytes([whole[-1] ^ 1])
    with pytest.raises(BundleError):
        receive_bundle(sent, store.get, tmp_path)
    store.pieces[-1] = whole
    receive_bundle(sent, store.get, tmp_path).check_files()
