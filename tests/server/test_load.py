"""Many clients at once: no request is lost, and memory stays."""

from __future__ import annotations

import importlib.util
import sys

from support.places import BENCHMARKS

SCRIPT = BENCHMARKS / "serving" / "serve_load.py"


def test_eight_clients_and_two_hundred_requests() -> None:
    spec = importlib.util.spec_from_file_location("serve_load", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    sys.modules["serve_load"] = script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    load = script.load_on_a_server(clients=8, requests=200)
    assert load.statuses[200] == 200  # those who were told to come again have been answered then
    assert set(load.statuses) <= {200, 429, 503}
    assert load.last_memory <= 1.1 * load.early_memory
