"""The model card of an export: what the model is, what it was trained on, and how it is used as it was trained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from transforms.datasets.manifest import Counts, Manifest

# Stands in docs/using_the_model.md as well; tests run both.
_SCORING = """\
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

place = "."  # the folder of this model
tokenizer = AutoTokenizer.from_pretrained(place)
model = AutoModelForSequenceClassification.from_pretrained(place, use_safetensors=True).eval()


def encode(prompt, response):  # texts are data: "<|im_end|>" in one is text. What is too long is cut as in training
    ids = lambda text: tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]
    start, end, score = tokenizer.convert_tokens_to_ids(["<|im_start|>", "<|im_end|>", "<|endoftext|>"])
    system = [] if prompt[0]["role"] == "system" else [{"role": "system", "content": ""}]
    turns = [ids(f"{turn['role']}\\n{turn['content']}") for turn in [*system, *prompt]]
    prompt = [i for turn in turns for i in [start, *turn, end, *ids("\\n")]] + [start, *ids("assistant\\n")]
    line, after = ids("\\n"), ids("\\n" + response)
    answer = after[len(line) :] if after[: len(line)] == line else ids(response)
    answer += [end, *line, score]
    limit = tokenizer.model_max_length
    kept = min(len(prompt), max(limit - len(answer), min(len(prompt), limit // 4)))
    return prompt[len(prompt) - kept :] + answer[:-1][: limit - kept - 1] + answer[-1:]


@torch.no_grad()
def rewards(pairs):  # of (prompt, response), the prompt as messages: one number each, higher is better
    batch = tokenizer.pad({"input_ids": [encode(*pair) for pair in pairs]}, return_tensors="pt")
    return model(**batch).logits[:, 0]


question = [{"role": "user", "content": "How do I keep a sourdough starter alive when I travel?"}]
print(rewards([(question, "Feed it, then put it in the fridge."), (question, "No idea.")]))
"""

_GENERATING = """\
from transformers import AutoModelForCausalLM, AutoTokenizer

place = "."  # the folder of this model
tokenizer = AutoTokenizer.from_pretrained(place)
model = AutoModelForCausalLM.from_pretrained(place, use_safetensors=True).eval()
batch = tokenizer("Flour, water and", add_special_tokens=False, return_tensors="pt")
print(tokenizer.decode(model.generate(**batch, max_new_tokens=20)[0]))
"""

_REWARD = """\
A sequence classifier with one output, the reward of a response to a prompt: of two responses to one prompt, that with
the higher reward is the one that a forum's voters prefer. Rewards of different prompts do not compare.

* The reward is read at the last token, `<|endoftext|>`. Prompt and response together were at most {length:,} tokens in
  training: a longer prompt loses its beginning, then a longer response what stands before its last token.
* The chat template keeps an empty system turn and ends with `<|endoftext|>`; use no other.
* `pipeline("text-classification")` applies a sigmoid; with `function_to_apply="none"` it gives the reward.
* The template alone makes control tokens of `<|im_end|>` and the like within a text. `encode` below does not, and cuts.
"""

_LANGUAGE = """\
A causal language model. It was trained on whole documents with `<|endoftext|>` after each, and not to follow
instructions or to chat; `model_max_length` is {length:,} tokens.
"""

_TITLES = {"preference": "Preference model", "pretrain": "Language model"}
_TAGS = {"preference": "text-classification", "pretrain": "text-generation"}
_SHOWN = 12  # languages


@dataclass(frozen=True)
class Trained:
    """What a card tells of a run. trainer: "preference" or "pretrain". sequence_tokens: of the longest text that it
    was trained on; 0: as many as it has positions."""

    trainer: str
    sequence_tokens: int
    counts: Counts
    data: Manifest


def write(run: Trained, length: int) -> str:
    """The card, in Markdown. length: tokens that the model reads."""
    rewards = run.trainer == "preference"
    return "\n".join(
        (
            f"---\nlibrary_name: transformers\npipeline_tag: {_TAGS[run.trainer]}\n---\n",
            f"# {_TITLES[run.trainer]}\n",
            (_REWARD if rewards else _LANGUAGE).format(length=length),
            f"## {'Scoring' if rewards else 'Generating'}\n",
            f"```python\n{_SCORING if rewards else _GENERATING}```\n",
            "## Trained on\n",
            *_data_lines(run),
            "\n## Licence\n",
            "Made with Agora (Apache-2.0). The texts that it was trained on keep their own licences (Stack Exchange: "
            "CC BY-SA;\nevery row of the data carries its own), and so does a model that the training began with. This "
            "card grants none of them.\n",
        )
    )


def _data_lines(run: Trained) -> list[str]:
    number = run.counts.get("data", {})
    lines = [f"* {', '.join(f'{value:,} {name}' for name, value in number.items())}; `manifest.json` names the data"]
    steps = run.counts["steps"]
    lines.append(f"* step {steps['exported']:,} of {steps['taken']:,}; `training.json` says what validation found")
    for what in ("groups", "tokens"):
        counts = run.data.counts.get(f"{what}_by_language", {})
        for name, value in run.data.counts.get(what, {}).items():  # a curriculum's: stage/language
            language = name.partition("/")[2]
            counts = {**counts, language: counts.get(language, 0) + value}
        if counts:
            lines.append(f"* {what} by language, in all of the data: {_listed(counts)}")
    return lines


def _listed(counts: Mapping[str, int]) -> str:
    names = sorted(counts, key=lambda name: (-counts[name], name))
    more = f", {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(f"{name} {counts[name]:,}" for name in names[:_SHOWN]) + more
