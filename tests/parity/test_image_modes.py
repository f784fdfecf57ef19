"""Images of both modes in one question: embeddings, prompt and greedy text of transformers, each image in its mode."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from parity.conversations import Reference, picture
from support.checkpoints import load_model

from uhd_edge.runtime import Assistant, VisionEncoder
from uhd_edge.runtime.errors import ImageError, OptionError

if TYPE_CHECKING:
    from pathlib import Path

    from uhd_edge.runtime.bundles.bundle import Bundle
    from uhd_edge.runtime.modes import Mode

QUESTION = "What is the code on the red circle?"
TOKENS = 32


class Mixed:
    """What transformers' model is given where each image has a mode: the parts of two prompts, put together."""

    def __init__(self, checkpoint: Path, images: list[Any], modes: list[Mode], max_slices: int) -> None:
        reference, self.model = Reference(checkpoint), load_model(checkpoint)
        number_token = reference.processor.tokenizer.convert_tokens_to_ids(reference.processor.image_id_start_token)
        ids: list[int] = []
        features = []
        for place, mode in enumerate(modes):
            inputs = reference.inputs([("user", [*images, QUESTION])], mode, max_slices)
            whole = inputs["input_ids"][0].tolist()
            begins = [index for index, token in enumerate(whole) if token == number_token]
            begin = 0 if place == 0 else begins[place]
            ids += whole[begin:] if place == len(modes) - 1 else whole[begin : begins[place + 1]]
            alone = reference.inputs([("user", [images[place], QUESTION])], mode, max_slices)
            with torch.inference_mode():
                features += self.model.model.get_image_features(
                    alone["pixel_values"], alone["target_sizes"], downsample_mode=mode
                ).pooler_output
        self.ids = torch.tensor([ids])
        self.features = torch.cat(list(features))
        self.placeholder = reference.processor.image_token_id
        self.text = lambda tokens: reference.processor.post_process_image_text_to_text([tokens])[0]

    def generate(self) -> str:
        embeddings = self.model.get_input_embeddings()(self.ids).detach()
        embeddings[0, self.ids[0] == self.placeholder] = self.features
        with torch.inference_mode():
            made = self.model.generate(inputs_embeds=embeddings, max_new_tokens=TOKENS, do_sample=False)
        text: str = self.text(made[0].tolist())
        return text


@pytest.mark.parametrize("kind", ["qwen3", "hybrid"])
@pytest.mark.parametrize("modes", [["16x", "4x"], ["4x", "16x", "4x"]], ids="-".join)
def test_the_answer_about_images_of_both_modes_is_that_of_transformers(
    request: pytest.FixtureRequest, kind: str, modes: list[Mode]
) -> None:
    checkpoint, bundle = (request.getfixturevalue(f"{kind}_{what}") for what in ("checkpoint", "bundle"))
    images = [picture(seed, 200 + 90 * seed, 180) for seed in range(len(modes))]
    expected = Mixed(checkpoint, images, modes, max_slices=2)
    with Assistant(bundle, threads=1) as assistant:
        asked: Any = list(zip(images, modes, strict=True))
        answer = assistant.ask(asked, QUESTION, max_slices=2, max_tokens=TOKENS)
        assert answer.usage.prompt_tokens == expected.ids.shape[1]
        assert answer.usage.vision_tokens == len(expected.features)
        assert answer.text == expected.generate()
        with assistant.session() as session:
            session.ask(asked[:1], QUESTION, max_slices=2, max_tokens=2)
            later = session.ask(asked[1:], QUESTION, max_slices=2, max_tokens=2)
        assert later.usage.vision_tokens == answer.usage.vision_tokens


def test_embeddings_of_one_image_are_those_of_its_mode(qwen3_bundle: Bundle) -> None:
    image = picture(1, 200, 100)
    with Assistant(qwen3_bundle, threads=1) as assistant, VisionEncoder(qwen3_bundle, threads=1) as encoder:
        plain = assistant.ask(image, QUESTION, mode="4x", max_tokens=8)
        encoded: Any = encoder.encode(image, mode="4x")
        for one in ((image, "4x"), [(image, "4x")], (encoded, "4x")):
            answer = assistant.ask(one, QUESTION, mode="16x", max_tokens=8)
            assert (answer.text, answer.usage) == (plain.text, plain.usage)
        with pytest.raises(ImageError, match=r'give it as \(image, "4x"\)'):
            assistant.ask(encoded, QUESTION, mode="16x")


@pytest.mark.parametrize("wrong", ["8x", None, 4])
def test_a_mode_that_there_is_not_is_refused(qwen3_bundle: Bundle, wrong: Any) -> None:
    refused = pytest.raises(OptionError, match="is \\(image, mode\\), with 16x or 4x, not")
    with Assistant(qwen3_bundle, threads=1) as assistant, refused:
        assistant.ask([(picture(1, 200, 100), wrong)], QUESTION)
