"""Which step of a run becomes its model, when a run is over before its last step, and what a person is told of both.

Validation losses decide. They are summed over all ranks, so that every rank decides the same; and what was found so far
is in each checkpoint's state.json, so that a run that was killed decides as an undisturbed one does.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypedDict

from torch import nn

from trainers import checkpoint
from trainers.parallel import Ranks

_MARGIN = 0.01  # of the lowest loss: what a higher one must be above it, whatever its standard error, to be told
_ERRORS = 2.0  # standard errors of the lowest loss, of which the same holds


class Validation(TypedDict, total=False):
    """What a validation found after `step` steps; numbers that are not finite are left out.

    loss: a pair or a token, in nats. error: its standard error, over prompts. accuracy, low, high: of pairs, with the
    95% interval over `prompts` prompts."""

    step: int
    loss: float
    error: float
    accuracy: float
    low: float
    high: float
    prompts: float


class Selection:
    """The validations of a run of `steps` steps, as far as they decide anything.

    keeps_best: the step with the lowest loss is exported, otherwise the last one. patience: that many validations
    without a lower loss end the run; 0: none do.
    """

    def __init__(self, steps: int, keeps_best: bool, patience: int) -> None:
        self._steps, self._keeps_best, self._patience = steps, keeps_best, patience
        self._best: Validation = {}
        self._last: Validation = {}
        self._number = self._stale = 0

    def hear(self, step: int, found: Mapping[str, Any]) -> str:
        """Takes in what a validation found, once for a step; returns it in words."""
        if step > self.heard:
            self._last = _validation(step, found)
            self._number += 1
            if _loss(self._last) < _loss(self._best):
                self._best, self._stale = self._last, 0
            else:
                self._stale += 1
        known = f"the best was {_loss(self._best):.4f}, step {self._best['step']}" if self._best else "none was finite"
        known = "best so far" if self._is_best(step) else known
        return f"validation after step {step}/{self._steps}: {_numbers(self._last)} ({known})"

    @property
    def heard(self) -> int:
        """The last step that was validated; 0: none was."""
        return self._last.get("step", 0)

    @property
    def stopped(self) -> bool:
        """Whether the run is over, though its last step may not be reached."""
        return 0 < self._patience <= self._stale

    def needs(self, step: int) -> bool:
        """Whether a checkpoint must be written after this step: it may be exported, or is the last."""
        return self.stopped or (self._keeps_best and self._is_best(step))

    def exports(self, step: int) -> int:
        """The step that is exported when the run ends after `step` steps."""
        return self._best["step"] if self._keeps_best and self._best else step

    def state(self, step: int) -> dict[str, object]:
        """What a checkpoint says of it: `State`'s selection and exports."""
        known = {"best": self._best, "last": self._last, "number": self._number, "stale": self._stale}
        return {"selection": known, "exports": self.exports(step)}

    def resume(self, known: Mapping[str, Any]) -> None:
        """Goes on from a checkpoint's selection."""
        self._best, self._last = known["best"], known["last"]
        self._number, self._stale = known["number"], known["stale"]

    @property
    def end(self) -> int:
        """The step after which the run is over."""
        return self._last["step"] if self.stopped else self._steps

    def load_best(
        self,
        output: Path,
        identity: Mapping[str, object],
        model: nn.Module,
        ranks: Ranks,
        say: Callable[[str], None],
    ) -> int:
        """Puts the weights to export into the model of a run that is over; returns their step.

        Every rank must call it. When their checkpoint is damaged, it says so and leaves the last weights.
        """
        step = self.end
        wanted = self.exports(step)
        if wanted == step:
            return step
        place = checkpoint.folder_of(output, wanted)
        state, fault = checkpoint.read_sound(place, identity, ranks)
        if state is None:
            say(
                f"{place}, of the lowest validation loss, is damaged ({fault}): the last step, {step}, is exported in "
                "its place, whose loss is higher. To have the best, bring back a copy of that folder, remove the "
                "model's, and run the same command again; without a copy remove all checkpoints too, to train anew"
            )
            return step
        checkpoint.load_weights(place, model, ranks)
        return wanted

    def _is_best(self, step: int) -> bool:
        return self._best.get("step") == step

    def account(self, exported: int) -> dict[str, object]:
        """What the export says of it, when its weights are those of the step `exported`."""
        validations = {"best": self._best or None, "last": self._last or None, "validations": self._number}
        of = next((found for found in (self._best, self._last) if found.get("step") == exported), None)
        judged = {"validation": of, "overfitted": self._overfitted, "told": self.verdict(exported)}
        return {"exported_step": exported, "steps_taken": self.end, "steps": self._steps, **judged, **validations}

    @property
    def _overfitted(self) -> bool | None:
        """Whether the loss rose after its lowest by more than chance makes it; None: it was not looked at twice."""
        if self._number < 2 or not self._best:
            return None
        margin = max(_ERRORS * self._best.get("error", 0.0), _MARGIN * self._best["loss"])
        return _loss(self._last) > self._best["loss"] + margin

    def verdict(self, exported: int) -> list[str]:
        """What to know of a model that has the weights of the step `exported`, a line each."""
        lines = []
        if self.end < self._steps:
            lines.append(f"ended after step {self.end} of {self._steps}: {self._stale} validations found no lower loss")
        if not self._last:
            return [*lines, "nothing was validated: it is not known whether the model is overfitted"]
        if not self._best:
            return [*lines, f"no validation loss was finite ({self._number} validations): the model is not usable"]
        if self._overfitted is None:
            lines.append(f"one validation, {_numbers(self._last)}: evaluate_every=N makes more, which show overfitting")
        elif self._overfitted:
            lines.append(self._told_overfitting(exported))
        else:
            lines.append(self._told_no_overfitting())
        found = self._best if exported == self._best.get("step") else self._last
        if found.get("low", 1.0) <= 0.5:
            lines.append(
                f"no better than chance, as far as {found['prompts']:,.0f} prompts of validation tell: accuracy "
                f"{found['accuracy']:.2f}, 95% interval {found['low']:.2f} to {found['high']:.2f}. "
                "More data would help: a larger dump, several, or a larger model to start from (init=)"
            )
        return lines

    def _told_overfitting(self, exported: int) -> str:
        best, end = self._best, self.end
        rose = f"the validation loss rose from {best['loss']:.4f} after step {best['step']} to {_loss(self._last):.4f}"
        how = "Fewer epochs or a lower optimizer.lr train less, patience=N ends a run earlier, more data helps most"
        if exported == best["step"]:
            return f"not overfitted: the model is of step {exported}. Later ones are: {rose} after step {end}. {how}"
        other = "" if self._keeps_best else " (export=best exports the best)"
        return f"overfitted: the model is of step {exported}{other}, and {rose} after step {end}. {how}"

    def _told_no_overfitting(self) -> str:
        best, last = self._best, self._last
        if self._is_best(last["step"]):
            return f"not overfitted: the validation loss is lowest at the end, {best['loss']:.4f}"
        error = f", standard error {best['error']:.4f}" if "error" in best else ""
        lowest = f"its lowest, {best['loss']:.4f} after step {best['step']}{error}"
        return f"not overfitted: the validation loss is {_loss(last):.4f} at the end, within chance or 1% of {lowest}"


def _validation(step: int, found: Mapping[str, Any]) -> Validation:
    known = {key: found[key] for key in Validation.__annotations__ if math.isfinite(found.get(key, math.nan))}
    return Validation(**{**known, "step": step})  # type: ignore[typeddict-item]


def _loss(found: Validation) -> float:
    return found.get("loss", math.inf)


def _numbers(found: Validation) -> str:
    accuracy = f", accuracy {found['accuracy']:.2f}" if "accuracy" in found else ""
    return f"loss {_loss(found):.4f}{accuracy}"
