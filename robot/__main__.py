"""`python -m uhd_edge.robot`: the command of the node, as written in a dataflow."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING, Any

import click

from uhd_edge.cli.main import one_line
from uhd_edge.cli.schema import schema_in
from uhd_edge.engines.extras import extra_needed
from uhd_edge.runtime.errors import UhdError

if TYPE_CHECKING:
    from uhd_edge.robot.node import DoraNode
    from uhd_edge.runtime.options import AskOptions

# dora carries a message and the word that its sender has ended by different ways, and a receiver
# reads no message that comes after that word. Milliseconds are enough for one; this is seconds.
LAST_MESSAGE_TAKES = 0.5


@click.command()
@click.option("--question", envvar="UHD_QUESTION", default="", help="Question to ask until another one arrives.")
@click.option(
    "--bundle",
    envvar="UHD_BUNDLE",
    metavar="NAME|DIR",
    help="Model in `uhd list`, or a bundle made by `uhd export`.  [default: the built-in uhd-tiny]",
)
@click.option("--mode", envvar="UHD_MODE", type=click.Choice(["16x", "4x"]))
@click.option("--max-slices", envvar="UHD_MAX_SLICES", type=click.IntRange(min=1), metavar="N")
@click.option(
    "--budget-ms", envvar="UHD_BUDGET_MS", type=float, metavar="MS", help="Most milliseconds to the first token."
)
@click.option(
    "--budget-share",
    envvar="UHD_BUDGET_SHARE",
    type=click.FloatRange(0.5, 0.99),
    default=0.95,
    show_default=True,
    metavar="SHARE",
    help="How many of the promised questions are to keep the budget.",
)
@click.option("--max-tokens", envvar="UHD_MAX_TOKENS", type=click.IntRange(min=1), default=256, show_default=True)
@click.option("--schema", envvar="UHD_SCHEMA", metavar="FILE", help="JSON schema that answers must fit.")
@click.option("--context", envvar="UHD_CONTEXT", type=click.IntRange(min=2), default=4096, show_default=True)
@click.option("--threads", envvar="UHD_THREADS", type=click.IntRange(min=1), metavar="N")
def main(*, schema: str | None, **settings: Any) -> None:
    """Answer questions about the newest frame, as a node of a dora-rs dataflow.

    The inputs are `image` and `question`, the outputs `answer` and `health`. Every option can
    also be set in the `env` of the dataflow, as UHD_QUESTION, UHD_BUNDLE and so on.
    """
    with extra_needed("dora", "the node of a dataflow"):
        import pyarrow
        from dora import Node
    try:
        node = Node()
    except RuntimeError as error:
        raise click.ClickException(
            "dora starts this node: add it to a dataflow with `args: -m uhd_edge.robot`"
        ) from error
    try:
        answer_frames(node, settings, schema)
    except UhdError as error:
        health = {"state": "error", "message": one_line(error)}
        node.send_output("health", pyarrow.array([json.dumps(health)]), {})
        raise
    finally:
        time.sleep(LAST_MESSAGE_TAKES)


def answer_frames(node: DoraNode, settings: dict[str, Any], schema: str | None) -> None:
    """Open the assistant and answer until the dataflow stops."""
    from uhd_edge.robot.inbox import Inbox
    from uhd_edge.robot.node import Answerer, read_events
    from uhd_edge.runtime.assistant import Assistant
    from uhd_edge.runtime.conversation.request import Budget

    options: AskOptions = {"max_tokens": settings["max_tokens"], "schema": schema_in(schema)}
    if settings["budget_ms"] is not None:
        options["budget_ms"] = Budget(settings["budget_ms"], ()).milliseconds
        options["budget_share"] = settings["budget_share"]
    inbox = Inbox(settings["question"].strip())
    with Assistant(
        settings["bundle"],
        **{name: settings[name] for name in ("mode", "max_slices", "context", "threads")},
    ) as assistant:
        for note in assistant.notes:
            click.echo(f"uhd: {note}", err=True)
        if "budget_ms" in options:  # before the first frame has to be answered in time
            assistant.measure(lambda step: click.echo(f"uhd: {step}", err=True))
        events = read_events(node, inbox)
        Answerer(node, assistant, options).run(inbox)
        events.join()


def run() -> None:
    """Run the node and exit: 0 when the dataflow has stopped, 1 after an error, in one line on stderr."""
    try:
        main(prog_name="python -m uhd_edge.robot", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except UhdError as error:
        click.echo(f"uhd: {one_line(error)}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    run()
