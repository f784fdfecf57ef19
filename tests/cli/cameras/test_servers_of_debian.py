"""`uhd watch` against servers that others wrote, which end and come back."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest
from support.places import EXAMPLES
from support.streams.debian_servers import NEEDED, are_here, free_port, serving

LEFTMOST = "Which object is the leftmost?"
BEFORE, AFTER = (EXAMPLES / "bench.png", "the white star"), (EXAMPLES / "wide.png", "the black circle")


@pytest.mark.skipif(not are_here(), reason=f"the servers are not installed: {NEEDED}")
@pytest.mark.parametrize("kind", ["rtsp", "http"])
def test_a_server_that_ended_is_found_again(kind: str) -> None:
    port = free_port()
    command = [sys.executable, "-m", "uhd_edge.cli", "watch", f"{kind}://127.0.0.1:{port}/camera", LEFTMOST]
    with subprocess.Popen(
        [*command, "--every", "0.1", "--max-tokens", "16"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as watch:
        assert watch.stdout is not None
        try:
            for picture, said in (BEFORE, AFTER):
                with serving(kind, picture, port):
                    assert any(line == f"{said}\n" for line in watch.stdout)
        finally:
            watch.send_signal(signal.SIGINT)
        _, told = watch.communicate(timeout=60)
    assert "; trying again in 0.5 s\n" in told
    assert ": is back\n" in told
