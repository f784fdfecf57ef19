"""Views that were seen before take their embeddings from the cache, the others are encoded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from uhd_edge.runtime.timing import timed
from uhd_edge.runtime.vision.encoding import encode_some
from uhd_edge.runtime.vision.view_cache import Kept, PlaceKey, content_key, engines_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from concurrent.futures import Future

    from numpy.typing import NDArray

    from uhd_edge.runtime.vision.slicing import SlicedImage, View
    from uhd_edge.runtime.vision.view_cache import ContentKey, ViewCache
    from uhd_edge.runtime.vision.vision_engines import Towers

CACHE_STAGE = "cache"

AnyArray = TypeVar("AnyArray", bound="NDArray[Any]")


@dataclass(frozen=True, eq=False)
class Looking:
    """An image that is looked at: its views, their names in the cache, and how near is near enough."""

    sliced: SlicedImage
    contents: tuple[ContentKey, ...]
    places: tuple[PlaceKey, ...]
    tolerance: float

    @classmethod
    def at(cls, sliced: SlicedImage, size: tuple[int, int], towers: Towers, tolerance: float) -> Looking:
        """Name every view of an image of `size` (width, height)."""
        engines = engines_of(towers)
        contents = tuple(content_key(view, engines) for view in sliced.views)
        places = tuple(PlaceKey(size, sliced.grid, index, engines) for index in range(len(contents)))
        return cls(sliced, contents, places, tolerance)


def encode_reusing(
    towers: Towers,
    sliced: SlicedImage,
    cache: ViewCache,
    timings: dict[str, float],
    *,
    size: tuple[int, int],
    tolerance: float,
) -> tuple[list[NDArray[np.float32]], int]:
    """Embeddings [tokens, d_llm] of each view in order, and how many views had to be encoded here.

    `size` is (width, height) of the image before it was cut. Adds the milliseconds of its
    stages to `timings`; raises `EngineError` as `encode_batch` does.
    """
    with timed(timings, CACHE_STAGE):
        looking = Looking.at(sliced, size, towers, tolerance)
        known = _known(looking, cache)
    missing = [index for index in range(len(sliced.views)) if index not in known]
    fresh, encoded = _encode_missing(towers, looking, missing, cache, timings)
    known.update({index: fresh[looking.contents[index]] for index in missing})
    if tolerance > 0:
        with timed(timings, CACHE_STAGE):
            _remember_places(looking, known, cache)
    return [known[index].embeddings for index in range(len(known))], encoded


def mean_difference(pixels: NDArray[np.uint8], others: NDArray[np.uint8]) -> float:
    """Mean absolute difference of two uint8 arrays of one shape, in grey levels 0 to 255."""
    difference = np.maximum(pixels, others)
    difference -= np.minimum(pixels, others)
    return float(difference.sum(dtype=np.uint64)) / difference.size


def _known(looking: Looking, cache: ViewCache) -> dict[int, Kept]:
    """Every view that is kept, or near enough to what was encoded at its place."""
    known = {}
    for index, (view, content) in enumerate(zip(looking.sliced.views, looking.contents, strict=True)):
        kept = cache.find(content) or _near(view, looking.places[index], looking.tolerance, cache)
        if kept is not None:
            known[index] = kept
    return known


def _near(view: View, place: PlaceKey, tolerance: float, cache: ViewCache) -> Kept | None:
    """Compare with the pixels that were encoded, never with those of the last frame, so that drift cannot creep in."""
    if tolerance <= 0:
        return None
    kept = cache.find(place)
    if kept is None or kept.pixels is None or mean_difference(view.pixels, kept.pixels) > tolerance:
        return None
    return kept


def _encode_missing(
    towers: Towers, looking: Looking, missing: Sequence[int], cache: ViewCache, timings: dict[str, float]
) -> tuple[dict[ContentKey, Kept], int]:
    """Encode each different view once, together with the other threads that want it."""
    wanted = {looking.contents[index]: index for index in missing}
    fresh: dict[ContentKey, Kept] = {}
    encoded = 0
    while wanted:
        with cache.sharing(tuple(wanted)) as shares:
            own = [wanted[content] for content in shares.mine]
            for index, embeddings in encode_some(towers, looking.sliced.views, own, timings):
                kept = Kept(looking.contents[index], _own_copy(embeddings))
                cache.done(kept)
                fresh[kept.content] = kept
        encoded += len(own)
        others = _waited_for(shares.elsewhere, timings) if shares.elsewhere else []
        fresh.update({kept.content: kept for kept in (*shares.found, *others)})
        wanted = {content: index for content, index in wanted.items() if content not in fresh}
    return fresh, encoded


def _waited_for(elsewhere: Sequence[Future[Kept | None]], timings: dict[str, float]) -> list[Kept]:
    """What the other threads make of their share; those that fail leave theirs to others."""
    with timed(timings, CACHE_STAGE):
        return [kept for kept in (future.result() for future in elsewhere) if kept is not None]


def _remember_places(looking: Looking, known: dict[int, Kept], cache: ViewCache) -> None:
    """Note which pixels every view's embeddings were made of, unless its place has them already."""
    for index, kept in known.items():
        place = looking.places[index]
        at_place = cache.find(place)
        if at_place is None or at_place.content != kept.content:
            # What was only near comes with the pixels it was made of, which are others than these.
            pixels = _own_copy(looking.sliced.views[index].pixels) if kept.pixels is None else kept.pixels
            cache.keep(place, Kept(kept.content, kept.embeddings, pixels))


def _own_copy(array: AnyArray) -> AnyArray:
    """Copy, since a batch or an image would stay alive as a whole for the sake of one view; read-only."""
    copy = array.copy()
    copy.flags.writeable = False
    return copy
