"""Videos: which frames are taken, that they stand upright, what a prompt makes of them, and what is refused."""

from __future__ import annotations

import json
import subprocess
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import av
import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from support.checkpoints import load_processor
from transformers.models.minicpmv4_6.video_processing_minicpmv4_6 import MiniCPMV4_6VideoProcessor

from uhd_edge.cli.main import Invocation, exit_code, uhd
from uhd_edge.runtime import Assistant, Video, video_frames
from uhd_edge.runtime.errors import ContextError, ImageError, MissingExtraError, OptionError, VideoError
from uhd_edge.runtime.images.video import FRAME_PIXELS, MAX_FRAMES, is_video, sample_times
from uhd_edge.runtime.llm.language_model import LanguageModel
from uhd_edge.runtime.prompt.layout import ImagePart, ImageSlot, Message, TextPart
from uhd_edge.runtime.prompt.room import PromptPlan

if TYPE_CHECKING:
    from pathlib import Path

    from uhd_edge.runtime.bundles.bundle import Bundle

LEVELS = 200  # a frame's grey level tells its number


def make_video(
    file: Path,
    frames: int,
    *,
    rate: int = 10,
    size: tuple[int, int] = (64, 48),
    turned: float | None = None,
    codec: str = "mpeg4",
    options: dict[str, str] | None = None,
) -> Path:
    """Frames that are one grey each, darker in their upper left quarter."""
    with av.open(str(file), "w", options=options or {}) as container:
        stream: Any = container.add_stream(codec, rate=rate)
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        stream.bit_rate = 4_000_000
        if turned is not None:
            stream.set_display_rotation(turned)
        for number in range(frames):
            pixels = np.full((size[1], size[0], 3), 50 + number % LEVELS, np.uint8)
            pixels[: size[1] // 2, : size[0] // 2] -= 40
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
    return file


def make_sound(file: Path) -> Path:
    with av.open(str(file), "w") as container:
        stream = container.add_stream("aac", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return file


def numbers(frames: list[Image.Image]) -> list[int]:
    return [round(float(np.asarray(frame)[-4:, -4:].mean())) - 50 for frame in frames]


def reference_indices(seconds: float, rate: float, max_frames: int) -> list[int]:
    metadata = SimpleNamespace(duration=seconds, fps=rate, total_num_frames=round(seconds * rate))
    defaults = SimpleNamespace(max_num_frames=max_frames, stack_frames=1)
    indices: list[int] = MiniCPMV4_6VideoProcessor.sample_frames(defaults, metadata)
    return indices


@given(tenths=st.integers(1, 100_000), rate=st.sampled_from([10, 24, 25, 30, 60]), max_frames=st.integers(1, 200))
def test_the_moments_are_those_of_transformers(tenths: int, rate: int, max_frames: int) -> None:
    """Compared as frames of a video with a constant rate; the last is as far as there are frames."""
    last = tenths * rate // 10 - 1
    if last < 0:
        return
    ours = [min(int(time * rate), last) for time in sample_times(tenths / 10, max_frames)]
    assert ours == [min(index, last) for index in reference_indices(tenths / 10, rate, max_frames)]
    assert len(ours) <= max_frames


@pytest.mark.parametrize("kind", ["mp4", "mkv", "mov", "avi"])
def test_a_frame_a_second_is_taken(tmp_path: Path, kind: str) -> None:
    frames = video_frames(make_video(tmp_path / f"clip.{kind}", 55))
    assert all(frame.mode == "RGB" and frame.size == (64, 48) for frame in frames)
    assert numbers(frames) == pytest.approx(reference_indices(5.5, 10, MAX_FRAMES), abs=3)


def test_of_a_long_video_frames_are_taken_evenly_from_begin_to_end(tmp_path: Path) -> None:
    """Long enough that stretches are skipped, with two key frames in between at the most."""
    file = make_video(tmp_path / "long.mp4", 1990)
    frames = video_frames(file, max_frames=7)
    expected = reference_indices(199.0, 10, 7)
    assert expected[-1] == 1989
    assert numbers(frames) == pytest.approx([index % LEVELS for index in expected], abs=3)
    assert len(video_frames(file)) == MAX_FRAMES


def test_a_transport_stream_leads_behind_a_place_and_its_frames_are_found_all_the_same(tmp_path: Path) -> None:
    frames = video_frames(make_video(tmp_path / "camera.m2ts", 990, codec="mpeg2video", rate=25), max_frames=3)
    expected = [index % LEVELS for index in reference_indices(39.6, 25, 3)]
    assert numbers(frames) == pytest.approx(expected, abs=3)


def test_a_video_that_does_not_say_how_long_it_is_is_measured(tmp_path: Path) -> None:
    """As browsers record: nothing is written into its head afterwards."""
    file = make_video(tmp_path / "browser.webm", 550, codec="libvpx", options={"live": "1"})
    with av.open(str(file)) as container:
        assert not container.duration
    assert len(video_frames(file)) == 55
    expected = [index % LEVELS for index in reference_indices(55.0, 10, 3)]
    assert numbers(video_frames(file, max_frames=3)) == pytest.approx(expected, abs=3)


def test_a_long_video_is_not_in_memory_as_a_whole(tmp_path: Path) -> None:
    """Its 900 frames are 1.7 GB."""
    file = make_video(tmp_path / "large.mp4", 300, rate=5, size=(1280, 720))
    program = (
        "import sys\n"
        "from uhd_edge.bench.memory import peak_memory\n"
        "from uhd_edge.runtime.images.video import video_frames\n"
        "before = peak_memory()\n"
        "frames = video_frames(sys.argv[1], max_frames=20)\n"
        "print(len(frames), peak_memory() - before)"
    )
    child = subprocess.run([sys.executable, "-c", program, file], capture_output=True, text=True, check=True)
    frames, grown = map(int, child.stdout.split())
    assert frames == 20
    assert grown < 300e6


def test_a_frame_that_stays_comes_once(tmp_path: Path) -> None:
    file = make_video(tmp_path / "slow.mkv", 3, rate=1)
    with av.open(str(file)) as source, av.open(str(tmp_path / "slower.mkv"), "w") as copy:
        stream = copy.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.pts is not None:
                packet.pts, packet.dts, packet.stream = packet.pts * 5, packet.pts * 5, stream
                copy.mux(packet)
    assert len(video_frames(tmp_path / "slower.mkv")) == 3


@pytest.mark.parametrize(("turned", "corner"), [(90, (-1, 0)), (-90, (0, -1)), (180, (-1, -1)), (0, (0, 0))])
def test_frames_stand_upright(tmp_path: Path, turned: int, corner: tuple[int, int]) -> None:
    """The upper left quarter is dark, and goes where counterclockwise turning brings it."""
    (frame,) = video_frames(make_video(tmp_path / "turned.mp4", 5, turned=turned))
    assert frame.size == ((64, 48) if turned in (0, 180) else (48, 64))
    pixels = np.asarray(frame)[..., 0].astype(int)
    corners = {place: pixels[place] for place in ((0, 0), (0, -1), (-1, 0), (-1, -1))}
    assert min(corners, key=lambda place: corners[place]) == corner


def test_a_large_frame_becomes_smaller_in_the_same_shape(tmp_path: Path) -> None:
    (frame,) = video_frames(make_video(tmp_path / "large.mp4", 2, size=(1920, 1080)))
    assert FRAME_PIXELS * 0.99 < frame.width * frame.height <= FRAME_PIXELS
    assert frame.width / frame.height == pytest.approx(16 / 9, abs=0.01)


def test_what_is_no_video_is_one_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    whole = make_video(tmp_path / "whole.mp4", 30).read_bytes()
    files = {"cut.mp4": whole[: len(whole) // 2], "text.mp4": b"not a video" * 50, "empty.mp4": b""}
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    (tmp_path / "folder.mp4").mkdir()
    make_sound(tmp_path / "sound.mp4")
    told = {"missing.mp4": "no such file", "empty.mp4": "empty", "folder.mp4": "not a file", "sound.mp4": "no pictures"}
    for name in (*files, "missing.mp4", "folder.mp4", "sound.mp4"):
        with pytest.raises(VideoError, match=told.get(name, "not a video, or damaged")) as caught:
            video_frames(tmp_path / name)
        assert str(caught.value).startswith(str(tmp_path / name))
        assert str(caught.value).isprintable()
    assert capfd.readouterr() == ("", "")


def test_a_damaged_video_gives_frames_or_an_error_of_ours(tmp_path: Path) -> None:
    whole = bytearray(make_video(tmp_path / "whole.mp4", 40).read_bytes())
    dice = np.random.default_rng(0)
    for _ in range(60):
        damaged = whole.copy()
        for place in dice.integers(0, len(damaged), dice.choice([1, 20])):
            damaged[place] = dice.integers(256)
        (tmp_path / "damaged.mp4").write_bytes(damaged[: dice.integers(len(damaged) // 2, len(damaged) + 1)])
        try:
            assert len(video_frames(tmp_path / "damaged.mp4")) >= 1
        except VideoError as error:
            assert str(error).isprintable()  # noqa: PT017


def test_a_playlist_does_not_open_what_it_names(tmp_path: Path) -> None:
    file = tmp_path / "list.mp4"
    file.write_text("#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/clip.ts\n#EXT-X-ENDLIST\n")
    with pytest.raises(VideoError):
        video_frames(file)


@pytest.mark.parametrize("wrong", [0, -1, 1.5, "3", None])
def test_a_senseless_number_of_frames_is_refused(tmp_path: Path, wrong: Any) -> None:
    with pytest.raises(OptionError, match="max_frames"):
        video_frames(tmp_path / "any.mp4", max_frames=wrong)


def test_a_video_is_known_by_its_suffix() -> None:
    assert is_video("a/clip.MP4")
    assert not is_video("clip.gif")
    assert not is_video(b"clip.mp4")
    assert not is_video(Image.new("RGB", (2, 2)))


def test_without_pyav_the_line_that_installs_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = make_video(tmp_path / "clip.mp4", 5)
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'uhd-edge\[video\]'"):
        video_frames(file)


def test_importing_the_runtime_does_not_import_pyav() -> None:
    program = "import sys, uhd_edge.runtime.assistant; sys.exit('av' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


class FramesAlone:
    """What transformers' video processor tells the processor of a video: here each frame is one view."""

    slice_mode = True
    downsample_mode = "16x"

    def __init__(self, images: Any) -> None:
        self._images = images

    def __call__(self, videos: Any, **_: Any) -> dict[str, Any]:
        told = self._images(videos[0], max_slice_nums=1, downsample_mode="16x", return_tensors="pt")
        return {
            "target_sizes_videos": told["target_sizes"],
            "grids_videos": np.array(told["grids"]),
            "num_frames_per_video": [len(videos[0])],
        }


@pytest.mark.parametrize("count", [1, 4])
def test_token_ids_are_those_of_transformers_processor(
    qwen3_checkpoint: Path, qwen3_bundle: Bundle, count: int
) -> None:
    """Laid out by its own code, as its card calls it: without ids, a placeholder for each video."""
    processor = load_processor(qwen3_checkpoint)
    frames = [Image.new("RGB", (320, 180), (10 * number, 9, 9)) for number in range(count)]
    layout = FramesAlone(processor.image_processor)(videos=[frames])
    replaced = processor.replace_video_token(layout, video_idx=0, video_token_divisor=16)
    # This checkpoint's template knows no videos; that of the real one writes a placeholder for each, as for an image.
    messages = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "What moves?"}]}]
    text = processor.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    assert text.count("<|image_pad|>") == 1
    expected = processor.tokenizer(text.replace("<|image_pad|>", replaced))["input_ids"]

    asked = [Message("user", (*[ImagePart()] * count, TextPart("What moves?")))]
    plan = PromptPlan(asked, [(320, 180)] * count, qwen3_bundle.manifest, "16x", videos=[5] * count)
    with LanguageModel(qwen3_bundle.llm_path, context=64, threads=1) as model:
        ids: list[int] = []
        for part in plan.layout(1):
            ids += (
                [processor.video_token_id] * part.tokens
                if isinstance(part, ImageSlot)
                else model.vocabulary.tokenize(part.text)
            )
    assert ids == expected


def test_an_image_beside_videos_keeps_its_own_number_and_two_videos_their_own_places(qwen3_bundle: Bundle) -> None:
    asked = [Message("user", (*[ImagePart()] * 6, TextPart("And?")))]
    videos = [None, 1, 1, 2, None, 3]
    layout = PromptPlan(asked, [(64, 48)] * 6, qwen3_bundle.manifest, "16x", videos=videos).layout(1)
    text = "".join("*" if isinstance(part, ImageSlot) else part.text for part in layout)
    one = "<image>*</image>"
    assert f"<image_id>0</image_id>{one}{one}{one}{one}<image_id>1</image_id>{one}{one}And?" in text
    assert [part.image for part in layout if isinstance(part, ImageSlot)] == list(range(6))


def test_a_video_is_asked_about_as_its_frames_in_one_view_each(tmp_path: Path) -> None:
    file = make_video(tmp_path / "clip.mp4", 35, size=(640, 480))
    with Assistant(threads=1) as assistant:
        answer = assistant.ask([file], "What is labelled FEC?", max_tokens=3)
        assert len(answer.views) == len(video_frames(file)) == 4
        with assistant.session(file) as session:
            first = session.ask("What is labelled FEC?", max_tokens=3)
            second = session.ask("Which object is the leftmost?", max_tokens=3)
        assert first.text == answer.text
        assert len(first.views) == len(second.views) == 4
        assert max(plan.max_slices for plan in assistant.plans([file], "What?")) == 1


def test_a_video_too_long_for_the_context_is_told_how_many_of_its_frames_fit(tmp_path: Path) -> None:
    file = make_video(tmp_path / "clip.mp4", 60)
    with Assistant(threads=1, context=64) as assistant:
        with pytest.raises(ContextError, match=r"use --max-frames \d+, or use --context") as caught:
            assistant.ask(file, "What?")
        fitting = int(str(caught.value).split("--max-frames ")[1].split(",")[0])
        assert len(assistant.ask(Video(file, fitting), "What?", max_tokens=1).views) == fitting
        with pytest.raises(ContextError, match=rf"use --max-frames {fitting},"):
            assistant.ask(Video(file, fitting + 1), "What?")
        with pytest.raises(ContextError, match="use a shorter video"):
            assistant.ask([file, file], "What?")


def test_frames_at_hand_are_asked_about_as_the_video_they_are_from(tmp_path: Path) -> None:
    file = make_video(tmp_path / "clip.mp4", 35, size=(640, 480))
    frames = video_frames(file)
    asked = "What is labelled FEC?"
    with Assistant(threads=1) as assistant:
        expected = assistant.ask(file, asked, max_tokens=3)
        for video in (Video(file), Video(frames), Video(np.stack([np.asarray(frame) for frame in frames]))):
            answer = assistant.ask(video, asked, max_tokens=3)
            assert (answer.text, answer.usage) == (expected.text, expected.usage)
            assert answer.reused_views == len(answer.views) == 4
        assert assistant.ask(frames, asked, max_tokens=3).usage != expected.usage  # four images


def test_of_too_many_frames_at_hand_some_are_taken_evenly() -> None:
    frames = [Image.new("L", (2, 2), number) for number in range(11)]
    assert [frame.getpixel((0, 0))[0] for frame in Video(frames, 3).frames()] == [0, 5, 10]  # type: ignore[index]
    assert len(Video(frames).frames()) == 11


@pytest.mark.parametrize("wrong", [[], None, 3, b"bytes", iter([])])
def test_what_is_no_list_of_frames_is_refused(wrong: Any) -> None:
    with pytest.raises(VideoError, match="a list of at least one frame"):
        Video(wrong).frames()
    with pytest.raises(ImageError, match="an image is a path"):
        Video([3]).frames()  # type: ignore[list-item]
    with pytest.raises(OptionError, match="max_frames"):
        Video([Image.new("L", (2, 2))], 0).frames()


def test_the_command_takes_a_video(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = make_video(tmp_path / "clip.mp4", 15)
    assert exit_code(["ask", str(file), "What is labelled FEC?", "--max-tokens", "2", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["views"]) == 2
    photo = tmp_path / "photo.png"
    Image.new("RGB", (900, 700)).save(photo)
    arguments = ["ask", str(file), str(photo), "What?", "--max-tokens", "2", "--json", "--max-frames", "1"]
    assert exit_code(arguments) == 0
    assert len(json.loads(capsys.readouterr().out)["views"]) == 2


def test_a_chat_takes_videos_and_goes_on_after_a_broken_one(tmp_path: Path) -> None:
    file = make_video(tmp_path / "clip.mp4", 25, size=(640, 480))
    (tmp_path / "broken.mp4").write_bytes(b"not a video")
    questions = ("What is labelled FEC?", "Which object is the leftmost?")
    with Assistant() as assistant, assistant.session(Video(file, 2)) as session:
        expected = [session.ask(questions[0]).text, session.ask(questions[1], images=Video(file, 2)).text]
    lines = f"{questions[0]}\n/image {tmp_path / 'broken.mp4'}\n/image {file}\n{questions[1]}\n"
    told = CliRunner().invoke(uhd, ["chat", str(file), "--max-frames", "2"], input=lines, obj=Invocation())
    assert told.stdout.splitlines() == expected
    assert told.stderr.startswith(f"uhd: {tmp_path / 'broken.mp4'}: not a video, or damaged")
