"""Which step of a run is exported, when a run ends early, and what is said of it: by validation losses alone."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainers.selection import Selection

Curve = Sequence[float]


def heard(losses: Curve, every: int = 10, patience: int = 0, keeps_best: bool = True, **more: float) -> Selection:
    """A run with a validation after each `every` steps."""
    selection = Selection(every * len(losses), keeps_best, patience)
    for number, loss in enumerate(losses, 1):
        if not selection.stopped:
            selection.hear(every * number, {"loss": loss, **more})
    return selection


@pytest.mark.parametrize(
    ("losses", "exported"),
    [
        ([0.6, 0.5, 0.7], 20),
        ([0.6, 0.6, 0.6], 10),  # no lower one after it
        ([0.6, 0.7, 0.5], 30),
        ([math.nan, 0.7, math.inf], 20),
        ([math.nan, math.nan], 20),  # nothing to choose by: the last
        ([], 0),
    ],
)
def test_the_step_with_the_lowest_loss_is_exported_and_the_first_of_equals(losses: Curve, exported: int) -> None:
    selection = heard(losses)
    assert selection.exports(10 * len(losses)) == exported
    assert selection.needs(exported) == any(map(math.isfinite, losses)), "a checkpoint stands there"
    assert heard(losses, keeps_best=False).exports(10 * len(losses)) == 10 * len(losses)
    assert not heard(losses, keeps_best=False).needs(exported)


def test_validations_of_which_none_was_finite_are_told() -> None:
    (said,) = heard([math.nan, math.inf, math.nan]).verdict(30)
    assert said == "no validation loss was finite (3 validations): the model is not usable"


@pytest.mark.parametrize(
    ("patience", "end"),
    [(0, 70), (1, 30), (2, 40), (3, 70), (9, 70)],
)
def test_a_run_ends_after_so_many_validations_without_a_lower_loss(patience: int, end: int) -> None:
    selection = heard([0.6, 0.5, 0.55, 0.5, 0.45, 0.46, 0.46], patience=patience)
    assert selection.stopped == (end < 70)
    assert selection.end == end
    assert selection.needs(end) == selection.stopped, "what ends a run is saved"
    said = f"ended after step {end} of 70: {patience} validations found no lower loss"
    assert (said in selection.verdict(50 if end == 70 else 20)) == selection.stopped


@given(
    st.lists(st.sampled_from([0.3, 0.4, 0.5, math.nan]), min_size=1, max_size=8),
    st.integers(0, 3),
    st.integers(0, 8),
    st.booleans(),
)
def test_a_run_that_goes_on_from_a_checkpoint_chooses_as_an_undisturbed_one(
    losses: Curve, patience: int, cut: int, again: bool
) -> None:
    """Wherever it is cut; and a validation that is repeated counts once."""
    whole = Selection(10 * len(losses), True, patience)
    before, after = (Selection(10 * len(losses), True, patience) for _ in range(2))
    for number, loss in enumerate(losses, 1):
        if whole.stopped:
            break
        words = whole.hear(10 * number, {"loss": loss})
        if number <= cut:
            before.hear(10 * number, {"loss": loss})
        if number == cut:
            after.resume(json.loads(json.dumps(before.state(10 * number)["selection"])))
        if number > cut or (number == cut and again):
            assert after.hear(10 * number, {"loss": loss}) == words
    if cut < len(losses):
        assert after.state(after.end) == whole.state(whole.end) or whole.end <= 10 * cut
        assert (after.stopped, after.end) == (whole.stopped, whole.end) or whole.end <= 10 * cut


def told(selection: Selection, exported: int) -> str:
    return "\n".join(selection.verdict(exported))


@pytest.mark.parametrize(
    ("losses", "error", "overfitted"),
    [
        ([0.6, 0.5, 0.61], 0.05, True),  # more than two standard errors above
        ([0.6, 0.5, 0.59], 0.05, False),
        ([0.6, 0.5, 0.506], 0.0, True),  # more than a hundredth above, where no error is known
        ([0.6, 0.5, 0.504], 0.0, False),
        ([0.6, 0.5, 0.4], 0.0, False),
        ([0.6, math.nan], 0.05, True),
        ([0.6], 0.05, None),
        ([math.nan, math.nan], 0.05, None),
    ],
)
def test_a_loss_that_rose_after_its_lowest_is_overfitting(losses: Curve, error: float, overfitted: bool | None) -> None:
    selection = heard(losses, error=error)
    end = 10 * len(losses)
    assert selection.account(selection.exports(end))["overfitted"] is overfitted
    text = told(selection, selection.exports(end))
    assert ("not overfitted" in text) == (overfitted is not None), "the best step is exported"
    assert ("rose from" in text) == (overfitted is True)
    last = heard(losses, keeps_best=False, error=error)
    assert ("\novere" in f"\n{told(last, end)}" or "export=best" in told(last, end)) == (overfitted is True)


def test_what_was_validated_never_or_once_is_not_called_overfitted_or_not() -> None:
    assert told(heard([]), 0) == "nothing was validated: it is not known whether the model is overfitted"
    assert told(heard([0.5], accuracy=0.7), 10) == (
        "one validation, loss 0.5000, accuracy 0.70: evaluate_every=N makes more, which show overfitting"
    )


@pytest.mark.parametrize(("low", "said"), [(0.5, True), (0.51, False), (0.3, True)])
def test_a_model_that_may_be_no_better_than_chance_is_told(low: float, said: bool) -> None:
    numbers = {"accuracy": 0.6, "low": low, "high": 0.7, "prompts": 13}
    text = told(heard([0.6, 0.7], **numbers), 10)
    assert ("no better than chance, as far as 13 prompts of validation tell: accuracy 0.60" in text) == said


def test_each_validation_is_told_with_where_it_stands() -> None:
    selection = Selection(80, True, 0)
    found: dict[str, Any] = {"loss": 0.66, "accuracy": 0.61, "pairs": 41.0}
    assert selection.hear(40, found) == "validation after step 40/80: loss 0.6600, accuracy 0.61 (best so far)"
    assert selection.hear(60, {"loss": 0.7}) == (
        "validation after step 60/80: loss 0.7000 (the best was 0.6600, step 40)"
    )
