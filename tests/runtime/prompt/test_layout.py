"""The prompt's layout, and what is refused. Token ids are compared with transformers' in tests/parity."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from uhd_edge.bench.synthetic.random_llm import TOKENS
from uhd_edge.runtime.answer import EncodedView
from uhd_edge.runtime.bundles.manifest import Prompt
from uhd_edge.runtime.errors import BundleError, PromptError
from uhd_edge.runtime.prompt.layout import ImageLayout, ImageSlot, PromptLayout, build_prompt, fill_slots, write_prompt
from uhd_edge.runtime.prompt.messages import ImagePart, Message, TextPart, user_message
from uhd_edge.runtime.prompt.template import render_chat
from uhd_edge.runtime.vision.encoder import Encoded

TEMPLATE = """\
{%- for message in messages -%}
[{{ message.role }}]
{%- for part in message.content -%}
{{ '<|image_pad|>' if part.type == 'image' else part.text }}
{%- endfor -%}
{%- endfor -%}
{{ '[assistant]' if add_generation_prompt }}"""


def prompt(**changes: Any) -> Prompt:
    return Prompt(**({"chat_template": TEMPLATE, "tokens": TOKENS, "stop_ids": (1,), "use_image_id": True} | changes))


def written(layout: list[str | ImageSlot]) -> str:
    return "".join(part if isinstance(part, str) else "." * part.tokens for part in layout)


def test_an_image_is_its_number_its_thumbnail_and_its_slices_row_by_row() -> None:
    layout = write_prompt([user_message("What?", images=1)], [ImageLayout((2, 3), (4, *[2] * 6))], prompt())
    row = "<slice>..</slice>" * 3
    assert written(layout) == f"[user]<image_id>0</image_id><image>....</image>{row}\n{row}What?[assistant]"


def test_a_single_column_of_slices_has_a_line_for_each() -> None:
    layout = write_prompt(
        [user_message("What?", images=1)], [ImageLayout((2, 1), (1, 2, 2))], prompt(use_image_id=False)
    )
    assert written(layout) == "[user]<image>.</image><slice>..</slice>\n<slice>..</slice>What?[assistant]"


def test_images_are_numbered_through_the_whole_conversation() -> None:
    conversation = [
        user_message("One?", images=1),
        Message("assistant", (TextPart("Yes."),)),
        Message("user", (TextPart("And "), ImagePart(), TextPart("?"))),
    ]
    layout = write_prompt(conversation, [ImageLayout((0, 0), (1,))] * 2, prompt())
    assert written(layout) == (
        "[user]<image_id>0</image_id><image>.</image>One?[assistant]Yes."
        "[user]And <image_id>1</image_id><image>.</image>?[assistant]"
    )


def test_text_between_two_views_is_tokenized_together() -> None:
    layout = write_prompt([user_message("What?", images=1)], [ImageLayout((1, 2), (1, 1, 1))], prompt())
    assert [part for part in layout if isinstance(part, str)] == [
        "[user]<image_id>0</image_id><image>",
        "</image><slice>",
        "</slice><slice>",
        "</slice>What?[assistant]",
    ]


def test_every_slot_gets_its_rows_of_the_embeddings() -> None:
    rows = np.arange(12, dtype=np.float32).reshape(6, 2)
    views = tuple(EncodedView(4, 4, tokens) for tokens in (1, 2, 2, 1))
    encoded = Encoded(rows[:5], (1, 2), views[:3], "16x", {}), Encoded(rows[5:], (0, 0), views[3:], "16x", {})
    bytes_as_ids: Any = SimpleNamespace(tokenize=lambda text: list(text.encode()))
    chunks = build_prompt([user_message("What?", images=2)], encoded, prompt(), bytes_as_ids)
    embeddings = [chunk.tolist() for chunk in chunks if isinstance(chunk, np.ndarray)]
    assert embeddings == [rows[:1].tolist(), rows[1:3].tolist(), rows[3:5].tolist(), rows[5:].tolist()]


def test_filling_leaves_text_alone() -> None:
    assert fill_slots(PromptLayout(([1, 2],)), []) == [[1, 2]]


@pytest.mark.parametrize("question", ["", "  \n\t "])
def test_an_empty_question_is_refused(question: str) -> None:
    with pytest.raises(PromptError, match="question is empty"):
        user_message(question, images=1)


def test_the_image_placeholder_in_a_question_is_refused() -> None:
    with pytest.raises(PromptError, match=r"<\|image_pad\|>, which stands for an image"):
        write_prompt([user_message("What is <|image_pad|>?", images=0)], [], prompt())


def test_half_a_surrogate_pair_is_refused() -> None:
    with pytest.raises(PromptError, match="not valid Unicode"):
        write_prompt([user_message("What is \udce9?", images=0)], [], prompt())


def test_places_and_images_must_be_as_many() -> None:
    with pytest.raises(PromptError, match="2 places for images, but 1 images"):
        write_prompt([user_message("What?", images=2)], [ImageLayout((0, 0), (1,))], prompt())


def test_a_template_that_drops_images_is_refused() -> None:
    with pytest.raises(PromptError, match="wrote 0 image placeholders for 1 images"):
        write_prompt([user_message("What?", images=1)], [ImageLayout((0, 0), (1,))], prompt(chat_template="hello"))


def test_text_is_brought_into_the_tokenizers_unicode_form() -> None:
    question = [user_message("e\u0301?", images=0)]
    assert written(write_prompt(question, [], prompt())) == "[user]e\u0301?[assistant]"
    assert written(write_prompt(question, [], prompt(normalization="NFC"))) == "[user]\u00e9?[assistant]"


def test_a_broken_template_is_the_bundles_fault() -> None:
    with pytest.raises(BundleError, match="no valid template"):
        render_chat([], prompt(chat_template="{% for %}"))


@pytest.mark.parametrize(
    "template",
    ["{{ raise_exception('no system message') }}", "{{ messages.nothing.at_all }}", "{{ 1 + 'a' }}", "{{ 1 / 0 }}"],
)
def test_a_template_that_refuses_is_one_error(template: str) -> None:
    with pytest.raises(PromptError, match="refuses this conversation"):
        render_chat([], prompt(chat_template=template))


@pytest.mark.parametrize(
    "template",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ messages.append(1) }}",
        "{{ cycler.__init__.__globals__.os.getcwd() }}",
    ],
)
def test_a_template_cannot_leave_its_sandbox(template: str) -> None:
    with pytest.raises(PromptError, match="refuses this conversation"):
        render_chat([], prompt(chat_template=template))


@pytest.mark.parametrize(
    "template",
    [
        "{{ messages | tojson }}",
        "{{ {'b': '<é>', 'a': 1} | tojson(indent=2) }}",
        "{{ {'b': 2, 'a': [1]} | tojson(sort_keys=true, separators=(',', ':')) }}",
        "  {% if true %}\n  trimmed\n  {% endif %}\n",
        "{% for m in messages %}{% if loop.index == 2 %}{% break %}{% endif %}{{ m.role }}{% endfor %}\n",
        "{% generation %}said{% endgeneration %} after",
        "{{ strftime_now('%Y') }} {{ eos_token }} {{ image_token }} {{ bos_token is defined }} {{ tools is none }}",
        "{% set ns = namespace(n=0) %}{% for m in messages %}{% set ns.n = ns.n + 1 %}{% endfor %}{{ ns.n }}",
        "{{ enable_thinking is defined }} {{ add_generation_prompt }} {{ dict(a=1).a }}",
    ],
)
def test_templates_render_as_in_transformers(template: str) -> None:
    from transformers.utils.chat_template_utils import render_jinja_template

    messages: Any = [
        {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "a <b> & é"}]},
        {"role": "assistant", "content": [{"type": "text", "text": "c"}]},
    ]
    (expected,), _ = render_jinja_template(
        [messages], chat_template=template, add_generation_prompt=True, eos_token="<end>", image_token="<|image_pad|>"
    )
    assert render_chat(messages, prompt(chat_template=template, eos_token="<end>")) == expected
