"""A server that cannot start says why."""

from __future__ import annotations

import subprocess
import sys

import pytest
from click.testing import CliRunner
from support.running_server import Running

from uhd_edge.cli.commands.serve import serve


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--token-file", "none"], "none: the token cannot be read"),
        (["--token-file", "/dev/null"], "/dev/null: the token is empty"),
        (["--host", "host.invalid"], "--host host.invalid: not an address of this machine"),
        (["--host", "192.0.2.1"], "cannot listen on 192.0.2.1"),
        (["--bundle", "none"], "none"),
    ],
)
def test_a_server_that_cannot_start_says_why(arguments: list[str], said: str) -> None:
    command = [sys.executable, "-m", "uhd_edge.cli", "serve", "--port", "0", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("limit", ["--time-limit", "--max-body", "--cache-mb", "--max-pixels"])
@pytest.mark.parametrize("number", ["nan", "inf", "-1", "many"])
def test_a_limit_is_a_finite_number(limit: str, number: str) -> None:
    refused = CliRunner().invoke(serve, [limit, number])
    assert refused.exit_code == 2
    assert f"Invalid value for '{limit}'" in refused.stderr


def test_a_port_that_is_taken_is_said_so(server: Running) -> None:
    command = [sys.executable, "-m", "uhd_edge.cli", "serve", "--port", str(server.address[1])]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert "Address already in use" in done.stderr
