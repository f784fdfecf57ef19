"""Pictures as terminals take them: read back, they are the same pictures."""

from __future__ import annotations

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from uhd_edge.cli.showing.escapes import kitty_escapes, sixel_escapes


def scene(width: int, height: int) -> Image.Image:
    across, down = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    return Image.fromarray(np.stack([across, down, np.full_like(across, 80)], axis=2).astype(np.uint8))


@pytest.mark.parametrize("size", [(1, 1), (300, 200)])
def test_kitty_gets_the_picture_as_a_png_in_short_commands_and_is_told_to_be_quiet(size: tuple[int, int]) -> None:
    picture = Image.effect_noise(size, 90).convert("RGB")
    commands = re.findall(rb"\x1b_G([^;]*);([^\x1b]*)\x1b\\", kitty_escapes(picture))
    assert b"".join(b"\x1b_G" + keys + b";" + data + b"\x1b\\" for keys, data in commands) + b"\n" == kitty_escapes(
        picture
    )
    assert [keys.split(b",")[-1] for keys, _ in commands] == [b"m=1"] * (len(commands) - 1) + [b"m=0"]
    assert commands[0][0].startswith(b"a=T,f=100,q=2,")
    assert all(len(data) <= 4096 for _, data in commands)
    with Image.open(io.BytesIO(base64.b64decode(b"".join(data for _, data in commands)))) as shown:
        assert np.array_equal(np.asarray(shown), np.asarray(picture))


@pytest.mark.parametrize("size", [(1, 1), (7, 13), (120, 50)])
def test_sixels_show_the_picture_in_fewer_colours(size: tuple[int, int]) -> None:
    picture = scene(*size)
    shown = read_sixels(sixel_escapes(picture).decode())
    assert shown.shape == (size[1], size[0], 3)
    difference = np.abs(shown.astype(int) - np.asarray(picture))
    assert difference.mean() < 6
    assert difference.max() < 48


def read_sixels(text: str) -> np.ndarray:
    """Paint sixels as a terminal does, one after the other."""
    head = re.match(r'\x1bP0;1;0q"1;1;(\d+);(\d+)', text)
    assert head is not None
    assert text.endswith("\x1b\\\n")
    width, height = int(head[1]), int(head[2])
    canvas = np.zeros((height + 5, width, 3), np.uint8)
    painted = np.zeros((height + 5, width), bool)
    colours: dict[int, list[int]] = {}
    colour = left = top = 0
    for step in re.finditer(r"#(\d+)(?:;2;(\d+);(\d+);(\d+))?|!(\d+)([?-~])|([?-~])|([$-])", text[head.end() : -3]):
        if step[8]:
            left, top = 0, top + 6 * (step[8] == "-")
        elif step[2]:
            colours[int(step[1])] = [round(int(part) * 2.55) for part in step.group(2, 3, 4)]
        elif step[1]:
            colour = int(step[1])
        else:
            bits, count = ord(step[6] or step[7]) - 63, int(step[5] or 1)
            for row in (row for row in range(6) if bits >> row & 1):
                assert not painted[top + row, left : left + count].any()
                canvas[top + row, left : left + count] = colours[colour]
                painted[top + row, left : left + count] = True
            left += count
    assert painted[:height].all()
    assert not painted[height:].any()
    return canvas[:height]
