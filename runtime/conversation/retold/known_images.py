"""Recognises images that came with earlier questions by what they were encoded into."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from uhd_edge.runtime.conversation.turns import SeenImage

MOST_KNOWN = 256


class KnownImages:
    """Gives an image the number of the first one with the same embeddings, so that prompts with it are alike.

    A client that sends a whole conversation with every question sends its images again. The latest `MOST_KNOWN` are
    known. Safe to use from several threads.
    """

    def __init__(self) -> None:
        self._numbers: OrderedDict[bytes, int] = OrderedDict()
        self._changing = threading.Lock()

    def recognised(self, image: SeenImage) -> SeenImage:
        """Return the image, under the number that it had before."""
        encoded = image.encoded
        shape = repr((encoded.embeddings.shape, encoded.grid, [(view.rows, view.columns) for view in encoded.views]))
        content = hashlib.blake2b(encoded.embeddings.tobytes(), digest_size=32)
        content.update(shape.encode())
        with self._changing:
            number = self._numbers.setdefault(content.digest(), image.number)
            self._numbers.move_to_end(content.digest())
            while len(self._numbers) > MOST_KNOWN:
                self._numbers.popitem(last=False)
        return image if number == image.number else image.of_number(number)
