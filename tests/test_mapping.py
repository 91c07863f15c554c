"""Mapping files: what one may not say is refused with the reason."""

from __future__ import annotations

import pytest

from transforms.datasets import strict_yaml
from transforms.sources.mapping import RowMapping


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("source: s\ndocument: {txt: a}", "did you mean 'text'"),
        ("source: s\ndocument: {text: a}\nquestoin: {text: a}", "did you mean 'question'"),
        ("source: 'a:b'\ndocument: {text: a}", "stands in ids"),
        ("source: s", "one of the two"),
        ("source: s\nquestion: {text: a}", "needs `answer` or `reply`"),
        ("source: s\ndocument: {text: a}\nreply: {text: a}", "they need `question`"),
        ("source: s\nquestion: {text: a, id: i}\nanswer: {text: a}", "want `list`"),
        ("source: s\nquestion: {text: a}\nanswer: {text: a, question: q}", "`id` is needed"),
        ("source: s\nbody: htlm\ndocument: {text: a}", "did you mean 'html'"),
        ("source: s\ntime: minutes\ndocument: {text: a}", "nor a format"),
        ("source: s\ndocument: {text: a, license: {valeu: x}}", "did you mean 'value'"),
    ],
)
def test_a_bad_mapping_says_what_is_wrong(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        strict_yaml.parse(RowMapping, text, "m.yaml")
