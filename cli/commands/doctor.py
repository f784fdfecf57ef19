"""`uhd doctor`: what this machine can run, and what is missing."""

from __future__ import annotations

import json
from dataclasses import asdict

import click


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
@click.pass_context
def doctor(ctx: click.Context, *, as_json: bool) -> None:
    """Show what this machine can run and how to get what is missing.

    The exit code is 1 if something that is needed for answering is missing.
    """
    from uhd_edge.runtime.checking.doctor import examine
    from uhd_edge.runtime.memory.machine import describe_memory

    findings = examine(describe_memory())
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in findings], ensure_ascii=False))
    else:
        width = max(len(finding.part) for finding in findings)
        for finding in findings:
            state = {"ok": "ok", "absent": "--", "broken": "!!"}[finding.state]
            click.echo(f"{state}  {finding.part:<{width}}  {finding.detail}")
    if any(finding.needed and finding.state != "ok" for finding in findings):
        ctx.exit(1)
