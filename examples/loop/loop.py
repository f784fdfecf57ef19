"""Asks a question about the newest frame of a camera, a stream or a video, until it ends."""

import sys
from contextlib import suppress
from queue import Empty, Queue
from threading import Thread

from uhd_edge import Assistant, UhdError, camera_frames

source, question = sys.argv[1:]
newest = Queue(maxsize=1)


def read() -> None:
    """Keep the newest frame."""
    try:
        for frame in camera_frames(source, tell=lambda line: print(line, file=sys.stderr)):
            with suppress(Empty):
                newest.get_nowait()  # an older frame that there was no time for
            newest.put(frame)
    except UhdError as error:
        print(error, file=sys.stderr)
    newest.put(None)  # the end, after the last frame has been taken


with Assistant() as assistant:
    Thread(target=read, daemon=True).start()
    while (frame := newest.get()) is not None:
        try:
            print(assistant.ask(frame, question, max_tokens=32).text, flush=True)
        except UhdError as error:  # this frame is broken, the next one may not be
            print(error, file=sys.stderr)
