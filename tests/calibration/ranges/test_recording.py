"""Recording runs graphs with further outputs, and must not hold what they are computed from longer than needed."""

from __future__ import annotations

import shutil
from pathlib import Path

import onnx_ir as ir

from uhd_edge.calibration.ranges.linears import find_sites
from uhd_edge.calibration.ranges.recorder import peak_name
from uhd_edge.calibration.ranges.recording import _instrumented
from uhd_edge.runtime.bundles.bundle import Bundle


def test_the_peak_of_every_linear_is_computed_right_behind_it(tmp_path: Path) -> None:
    bundle = Bundle.open(shutil.copytree(Bundle.open().path, tmp_path / "bundle"))
    for file in bundle.graphs("4x", "fp32"):
        sites = find_sites(ir.load(file).graph)
        with _instrumented(file, sites) as copy:
            nodes = list(ir.load(copy).graph)
        places = {output.name: place for place, node in enumerate(nodes) for output in node.outputs}
        made_by = {str(node.name): place for place, node in enumerate(nodes)}
        linears = [linear for site in sites for linear in site.linears]
        assert linears
        for linear in linears:
            # The product, its bias, the magnitude and the peak.
            assert places[peak_name(linear.name)] == made_by[linear.node] + 3
