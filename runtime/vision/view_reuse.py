"""Views that are in the cache take their embeddings from it, the others are encoded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from uhd_edge.runtime.timing import timed
from uhd_edge.runtime.vision.encoding import encode_some
from uhd_edge.runtime.vision.view_cache import Kept, PlaceKey, content_key, identify_engines

if TYPE_CHECKING:
    from collections.abc import Sequence
    from concurrent.futures import Future

    from numpy.typing import NDArray

    from uhd_edge.runtime.vision.slicing import SlicedImage, View
    from uhd_edge.runtime.vision.view_cache import ContentKey, ViewCache
    from uhd_edge.runtime.vision.vision_engines import VisionEngines

CACHE_STAGE = "cache"

AnyArray = TypeVar("AnyArray", bound="NDArray[Any]")


@dataclass(frozen=True, eq=False)
class CacheLookup:
    """What is looked up for an image: its views, their keys in the cache, and the tolerance."""

    sliced: SlicedImage
    contents: tuple[ContentKey, ...]
    places: tuple[PlaceKey, ...]
    tolerance: float

    @classmethod
    def at(cls, sliced: SlicedImage, size: tuple[int, int], engines: VisionEngines, tolerance: float) -> CacheLookup:
        """Make the keys of every view of an image of `size` (width, height)."""
        key = identify_engines(engines)
        contents = tuple(content_key(view, key) for view in sliced.views)
        places = tuple(PlaceKey(size, sliced.grid, index, key) for index in range(len(contents)))
        return cls(sliced, contents, places, tolerance)


def encode_reusing(
    engines: VisionEngines,
    sliced: SlicedImage,
    cache: ViewCache,
    timings: dict[str, float],
    *,
    size: tuple[int, int],
    tolerance: float,
) -> tuple[list[NDArray[np.float32]], set[int]]:
    """Return the embeddings [tokens, d_llm] of each view in order, and which views were encoded here.

    `size` is (width, height) of the image before it was cut. Adds the milliseconds of its
    stages to `timings`; raises `EngineError` as `encode_batch` does.
    """
    with timed(timings, CACHE_STAGE):
        lookup = CacheLookup.at(sliced, size, engines, tolerance)
        known = _known(lookup, cache)
    missing = [index for index in range(len(sliced.views)) if index not in known]
    fresh, encoded = _encode_missing(engines, lookup, missing, cache, timings)
    known.update({index: fresh[lookup.contents[index]] for index in missing})
    if tolerance > 0:
        with timed(timings, CACHE_STAGE):
            _remember_places(lookup, known, cache)
    return [known[index].embeddings for index in range(len(known))], encoded


def mean_difference(pixels: NDArray[np.uint8], others: NDArray[np.uint8]) -> float:
    """Return the mean absolute difference of two uint8 arrays of one shape, in grey levels from 0 to 255."""
    difference = np.maximum(pixels, others)
    difference -= np.minimum(pixels, others)
    return float(difference.sum(dtype=np.uint64)) / difference.size


def _known(lookup: CacheLookup, cache: ViewCache) -> dict[int, Kept]:
    """Find the views that are in the cache, or near enough to what was encoded in their place."""
    known = {}
    for index, (view, content) in enumerate(zip(lookup.sliced.views, lookup.contents, strict=True)):
        kept = cache.find(content) or _near(view, lookup.places[index], lookup.tolerance, cache)
        if kept is not None:
            known[index] = kept
    return known


def _near(view: View, place: PlaceKey, tolerance: float, cache: ViewCache) -> Kept | None:
    """Compare with the pixels that were encoded, not with the last frame's, so that slow drift cannot accumulate."""
    if tolerance <= 0:
        return None
    kept = cache.find(place)
    if kept is None or kept.pixels is None or mean_difference(view.pixels, kept.pixels) > tolerance:
        return None
    return kept


def _encode_missing(
    engines: VisionEngines, lookup: CacheLookup, missing: Sequence[int], cache: ViewCache, timings: dict[str, float]
) -> tuple[dict[ContentKey, Kept], set[int]]:
    """Encode each different view once, sharing the work with other threads that need the same views."""
    wanted: dict[ContentKey, int] = {}
    for index in missing:
        wanted.setdefault(lookup.contents[index], index)
    fresh: dict[ContentKey, Kept] = {}
    encoded: set[int] = set()
    while wanted:
        with cache.sharing(tuple(wanted)) as shares:
            own = [wanted[content] for content in shares.mine]
            for index, embeddings in encode_some(engines, lookup.sliced.views, own, timings):
                kept = Kept(lookup.contents[index], _own_copy(embeddings))
                cache.done(kept)
                fresh[kept.content] = kept
        encoded.update(own)
        others = _waited_for(shares.elsewhere, timings) if shares.elsewhere else []
        fresh.update({kept.content: kept for kept in (*shares.found, *others)})
        wanted = {content: index for content, index in wanted.items() if content not in fresh}
    return fresh, encoded


def _waited_for(elsewhere: Sequence[Future[Kept | None]], timings: dict[str, float]) -> list[Kept]:
    """Wait for views that other threads encode; a thread that fails gives None."""
    with timed(timings, CACHE_STAGE):
        return [kept for kept in (future.result() for future in elsewhere) if kept is not None]


def _remember_places(lookup: CacheLookup, known: dict[int, Kept], cache: ViewCache) -> None:
    """Keep the pixels that each view's embeddings were made of under its place, unless they are there already."""
    for index, kept in known.items():
        place = lookup.places[index]
        at_place = cache.find(place)
        if at_place is None or at_place.content != kept.content:
            # A view that was only near keeps the pixels that were encoded, not its own.
            pixels = _own_copy(lookup.sliced.views[index].pixels) if kept.pixels is None else kept.pixels
            cache.keep(place, Kept(kept.content, kept.embeddings, pixels))


def _own_copy(array: AnyArray) -> AnyArray:
    """Return a read-only copy: a slice would keep its whole batch or image in memory."""
    copy = array.copy()
    copy.flags.writeable = False
    return copy
