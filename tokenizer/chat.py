"""Control tokens, and how messages become text around them: ChatML with the empty system turn kept.

The rendering of a preference example (WorldPM, arXiv 2505.10527, section 2.1 and its README): the empty system turn,
the question, the answer, and `<|endoftext|>` at the very end, where the reward is read. `CHAT_TEMPLATE` says the same
in Jinja, for models that are used without this code.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

UNKNOWN = "<unk>"
END_OF_TEXT = "<|endoftext|>"
MESSAGE_START = "<|im_start|>"
MESSAGE_END = "<|im_end|>"
PAD = "<|pad|>"

CONTROL_TOKENS = (END_OF_TEXT, MESSAGE_START, MESSAGE_END, PAD)
"""In the order of their ids, the first after that of <unk>."""

_ROLES = ("system", "user", "assistant")

Message = Mapping[str, str]  # role, content

CHAT_TEMPLATE = (
    "{%- if messages[0].role != 'system' %}{{- '<|im_start|>system\\n<|im_end|>\\n' }}{%- endif %}"
    "{%- for message in messages %}"
    "{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}"
    "{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}"
    "{%- elif messages[-1].role == 'assistant' %}{{- '<|endoftext|>' }}{%- endif %}"
)


def prompt_turns(messages: Sequence[Message]) -> list[str]:
    """The text inside each turn of a prompt, role line included, the system turn first (empty when none is given).

    Raises ValueError for an empty prompt, an unknown role, or a system message after the first.
    """
    if not messages:
        raise ValueError("a prompt needs at least one message; got none")
    for index, message in enumerate(messages):
        role = message["role"]
        if role not in _ROLES:
            raise ValueError(f"message {index} has the role {role!r}; wanted one of {', '.join(_ROLES)}")
        if role == "system" and index:
            raise ValueError(f"message {index} is a system message; only the first may be one")
    system = [] if messages[0]["role"] == "system" else ["system\n"]
    return system + [f"{message['role']}\n{message['content']}" for message in messages]


def rendered(messages: Sequence[Message], answer: str) -> str:
    """What CHAT_TEMPLATE makes of a prompt and an answer to it. Raises as `prompt_turns`."""
    turns = [*prompt_turns(messages), f"assistant\n{answer}"]
    return "".join(f"{MESSAGE_START}{turn}{MESSAGE_END}\n" for turn in turns) + END_OF_TEXT
