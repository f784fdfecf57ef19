"""Chat templates with what MiniCPM-V 4.6's has: thoughts on demand, tools, their calls and their results.

Thoughts are left out of turns before the last question, but not of those after it, which are calls.
"""

from __future__ import annotations

_HEAD = """\
{%- macro said(message) -%}
{%- for part in message.content -%}
{{- '<|image_pad|>' if part.type == 'image' else part.text -}}
{%- endfor -%}
{%- endmacro -%}
{%- if tools -%}
{{- '<|im_start|>system\\nFunctions:\\n' -}}
{%- for tool in tools -%}
{{- tool | tojson + '\\n' -}}
{%- endfor -%}
{{- 'To call one, write <tool_call>.<|im_end|>\\n' -}}
{%- endif -%}
{%- set last = namespace(question=-1) -%}
{%- for message in messages -%}
{%- if message.role == 'user' -%}
{%- set last.question = loop.index0 -%}
{%- endif -%}
{%- endfor -%}
{%- for message in messages -%}
{{- '<|im_start|>' + message.role + '\\n' -}}
{%- if message.reasoning_content and loop.index0 > last.question -%}
{{- '<think>\\n' + message.reasoning_content + '\\n</think>\\n\\n' -}}
{%- endif -%}
{{- said(message) -}}
{%- for call in message.tool_calls or [] -%}
"""

_TAGS = """\
{{- '\\n<tool_call>\\n<function=' + call.function.name + '>\\n' -}}
{%- for name, value in call.function.arguments | items -%}
{{- '<parameter=' + name + '>\\n' + (value if value is string else value | tojson) + '\\n</parameter>\\n' -}}
{%- endfor -%}
{{- '</function>\\n</tool_call>' -}}
"""

_JSON = """\
{{- '\\n<tool_call>\\n' + {'name': call.function.name, 'arguments': call.function.arguments} | tojson -}}
{{- '\\n</tool_call>' -}}
"""

_TAIL = """\
{%- endfor -%}
{{- '<|im_end|>\\n' -}}
{%- endfor -%}
{{- '<|im_start|>assistant\\n' -}}
{{- '<think>\\n' if enable_thinking else '<think>\\n\\n</think>\\n\\n' -}}
"""

AGENT_TEMPLATE = _HEAD + _TAGS + _TAIL
JSON_AGENT_TEMPLATE = _HEAD + _JSON + _TAIL

# The same, but thoughts of earlier turns stay.
KEEPING_TEMPLATE = AGENT_TEMPLATE.replace(" and loop.index0 > last.question", "")
