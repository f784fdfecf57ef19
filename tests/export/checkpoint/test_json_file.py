"""Whatever is in a checkpoint's JSON files is read, or refused in one line."""

from __future__ import annotations

import json
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from uhd_edge.export.checkpoint.checkpoint import open_checkpoint
from uhd_edge.runtime.errors import CheckpointError

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=4,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_is_in_a_field_is_read_or_refused_in_one_line(folder: Path, data: st.DataObject) -> None:
    file = folder / data.draw(
        st.sampled_from(["config.json", "preprocessor_config.json", "tokenizer_config.json", "generation_config.json"])
    )
    before = file.read_bytes()
    content = json.loads(before)
    inner = content
    if file.name == "config.json":
        inner = data.draw(st.sampled_from([content, content["vision_config"], content["text_config"]]))
    inner[data.draw(st.sampled_from(sorted(inner)))] = data.draw(JSON)
    file.write_text(json.dumps(content))
    try:
        open_checkpoint(folder).close()
    except CheckpointError as error:
        assert "\n" not in str(error)  # noqa: PT017
    finally:
        file.write_bytes(before)
