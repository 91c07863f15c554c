"""Training configurations: strict YAML to frozen dataclasses, with `key=value` overrides.

A configuration is a file, or the name of one shipped in `trainers/configs/<kind>/<name>.yaml`. Unknown and repeated
keys, and values of another type, are errors. What a run *is* (its fingerprint) leaves out places and everything that
changes the speed or the reporting of a run and not its arithmetic: _NOT_IDENTITY is the one list of that.
"""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from transforms.datasets import strict_yaml
from transforms.datasets.settings import SettingError

C = typing.TypeVar("C")

SHIPPED = Path(__file__).with_name("configs")

# Keys that do not change what is trained beyond float noise: places, machine, reporting.
_NOT_IDENTITY = frozenset(
    (
        *("data", "tokenizer", "output", "init", "validation", "replace", "keep", "max_steps"),
        *("threads", "micro_sequences", "micro_rows"),
        *("checkpoint_every", "keep_checkpoints", "nonfinite_skips"),
    )
)
# Keys that decide which step is exported, where validation decides it.
_SELECTION = frozenset(("evaluate_every", "export", "patience"))


@dataclass(frozen=True)
class ModelShape:
    """A fresh Qwen3-shaped decoder (QK norm, SwiGLU, RoPE). Ignored when `init` names a model."""

    hidden_size: int = 128
    layers: int = 4
    heads: int = 4
    kv_heads: int = 2
    head_dim: int = 32
    intermediate_size: int = 384
    max_positions: int = 2048
    rope_theta: float = 10000.0
    tied: bool = True

    def __post_init__(self) -> None:
        for name in ("hidden_size", "layers", "heads", "kv_heads", "head_dim", "intermediate_size", "max_positions"):
            _at_least(name, getattr(self, name), 1)
        if self.heads % self.kv_heads:
            raise SettingError("heads", f"{self.heads} is no multiple of kv_heads {self.kv_heads}: change one")
        if self.head_dim % 2:
            raise SettingError("head_dim", f"must be even (positions turn pairs of numbers), got {self.head_dim}")
        if not self.rope_theta > 0:
            raise SettingError("rope_theta", f"must be above 0, got {self.rope_theta}")


@dataclass(frozen=True)
class Optimizer:
    """AdamW. Weight decay goes to matrices only; `clip` is the largest global gradient norm."""

    lr: float = 1e-3
    weight_decay: float = 0.1
    beta1: float = 0.9
    beta2: float = 0.95
    eps: float = 1e-8
    clip: float = 1.0

    def __post_init__(self) -> None:
        for name in ("lr", "eps", "clip"):
            if not getattr(self, name) > 0:
                raise SettingError(name, f"must be above 0, got {getattr(self, name)}")
        for name in ("beta1", "beta2"):
            if not 0 <= getattr(self, name) < 1:
                raise SettingError(name, f"must be at least 0 and below 1, got {getattr(self, name)}")
        if not self.weight_decay >= 0:
            raise SettingError("weight_decay", f"must be at least 0, got {self.weight_decay}")


@dataclass(frozen=True)
class Schedule:
    """Learning rate over the run: `constant`, `cosine`, or `wsd` (warmup, stable, linear decay).

    warmup and decay are shares of all steps; floor is the share of the peak that is left at the end.
    WorldPM (A.3) is `constant` with warmup 0.1.
    """

    kind: typing.Literal["constant", "cosine", "wsd"] = "constant"
    warmup: float = 0.1
    decay: float = 0.2
    floor: float = 0.1

    def __post_init__(self) -> None:
        for name in ("warmup", "decay", "floor"):
            if not 0 <= getattr(self, name) <= 1:
                raise SettingError(name, f"is a share between 0 and 1, got {getattr(self, name)}")
        if self.kind == "wsd" and self.warmup + self.decay > 1:
            raise SettingError("warmup", f"{self.warmup} + decay {self.decay} is above 1: lower one")


@dataclass(frozen=True)
class Parallel:
    """How the model lies on the ranks. replicate > 1 is HSDP: that many copies, each sharded over the rest."""

    replicate: int = 1
    precision: typing.Literal["fp32", "bf16"] = (
        "fp32"  # of matrix products on CUDA; parameters, reductions and the reward head stay fp32
    )
    activation_checkpointing: bool = False

    def __post_init__(self) -> None:
        _at_least("replicate", self.replicate, 1)


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """What both trainers share. Places are folders of datasets; `output` is a folder on a file system all ranks see."""

    data: str = ""
    tokenizer: str = ""  # may be empty when init is a model with its tokenizer
    output: str = ""
    init: str = ""  # a Hugging Face folder to start from, or NAME@COMMIT of the hub; empty: fresh weights
    seed: int = 0
    threads: int = 1  # of each process; the same number repeats a CPU run bit for bit
    max_steps: int = 0  # stop after so many, or when the data ends; 0: when it ends
    evaluate_every: float = 0.0  # so many steps, or below 1 a share of all steps; 0: only at the end
    # Which weights become the model: of the validated step with the lowest loss, or of the last one whatever it is.
    export: typing.Literal["best", "last"] = "best"
    patience: int = 0  # validations without a lower loss after which the run ends; 0: it never does
    checkpoint_every: int = 0  # 0: only at the end and when told to stop
    keep_checkpoints: int = 2
    nonfinite_skips: int = 3  # steps with a non-finite loss or gradient that are skipped before the run stops
    replace: bool = False  # train anew over the results of another configuration
    keep: bool = False  # go on with results that another version of Agora made
    model: ModelShape = field(default_factory=ModelShape)
    optimizer: Optimizer = field(default_factory=Optimizer)
    schedule: Schedule = field(default_factory=Schedule)
    parallel: Parallel = field(default_factory=Parallel)

    def __post_init__(self) -> None:
        for name in ("data", "output"):
            if not getattr(self, name):
                raise ValueError(f"{name} is not set: add {name}=PLACE to the command or to the configuration")
        if not (self.tokenizer or self.init):
            raise ValueError("neither tokenizer nor init is set: add tokenizer=PLACE or init=MODEL")
        if "://" in self.output:
            raise SettingError("output", f"{self.output!r} is a URL; a training run writes to a mounted folder")
        _at_least("threads", self.threads, 1)
        _at_least("keep_checkpoints", self.keep_checkpoints, 1)
        for name in ("max_steps", "patience", "checkpoint_every", "nonfinite_skips"):
            _at_least(name, getattr(self, name), 0)
        if not (0 <= self.evaluate_every < 1 or (self.evaluate_every > 0 and float(self.evaluate_every).is_integer())):
            raise ValueError(f"evaluate_every is whole steps, or a share below 1 of all; got {self.evaluate_every}")
        if self.patience and not self.validates:
            raise ValueError(
                f"patience {self.patience} counts validations, and there are none before the end: "
                f"{self.how_to_validate}, or set patience=0"
            )

    def validation_steps(self, steps: int) -> int:
        """After how many steps each a run of `steps` steps is validated; 0: only at its end."""
        every = self.evaluate_every
        return max(1, round(every * steps)) if 0 < every < 1 else int(every)

    @property
    def validates(self) -> bool:
        """Whether the run may be validated before its end."""
        return self.evaluate_every > 0

    @property
    def how_to_validate(self) -> str:
        """What to set for it."""
        return "set evaluate_every"

    @property
    def selects(self) -> bool:
        """Whether validation decides which step is exported."""
        return self.validates and (self.export == "best" or self.patience > 0)


@dataclass(frozen=True, kw_only=True)
class PretrainConfig(RunConfig):
    """Language-model pretraining on curriculum shards. A global batch is `global_sequences` rows of the schedule."""

    validation: str = ""  # a curriculum dataset of held-out documents; empty: no validation
    global_sequences: int = 16
    micro_sequences: int = 4

    def __post_init__(self) -> None:
        super().__post_init__()
        _at_least("global_sequences", self.global_sequences, 1)
        _at_least("micro_sequences", self.micro_sequences, 1)

    @property
    def validates(self) -> bool:
        """Whether the run is validated before its end: it needs a curriculum for it."""
        return super().validates and bool(self.validation)

    @property
    def how_to_validate(self) -> str:
        """What to set for it."""
        return "set validation (a curriculum of held-out documents) and evaluate_every"


@dataclass(frozen=True, kw_only=True)
class PreferenceConfig(RunConfig):
    """Preference-model training on preference shards.

    sequence_tokens bounds prompt + response (WorldPM A.3: 2,048); rows of row_tokens hold whole prompts with their
    responses. A global batch is about `global_pairs` pairs.
    """

    epochs: int = 1
    global_pairs: int = 64
    sequence_tokens: int = 512
    row_tokens: int = 1024
    micro_rows: int = 4

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("epochs", "global_pairs", "micro_rows"):
            _at_least(name, getattr(self, name), 1)
        _check_lengths(self.sequence_tokens, self.row_tokens)


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig:
    """Scoring a preference model on one split. sequence_tokens 0: what the model was trained with."""

    model: str = ""
    data: str = ""
    output: str = ""
    split: typing.Literal["train", "validation", "holdout"] = "holdout"
    sequence_tokens: int = 0
    bootstrap: int = 1000
    seed: int = 0
    threads: int = 1
    replace: bool = False
    keep: bool = False

    def __post_init__(self) -> None:
        for name in ("model", "data", "output"):
            if not getattr(self, name):
                raise ValueError(f"{name} is not set: add {name}=PLACE to the command")
        _at_least("bootstrap", self.bootstrap, 100)
        _at_least("threads", self.threads, 1)


def _check_lengths(sequence_tokens: int, row_tokens: int) -> None:
    """A row must hold any single pair: a prompt with two responses needs at most twice sequence_tokens."""
    _at_least("sequence_tokens", sequence_tokens, 8)
    if row_tokens < 2 * sequence_tokens:
        raise SettingError(
            "row_tokens",
            f"{row_tokens} is below twice sequence_tokens {sequence_tokens}: a pair might not fit; set row_tokens to "
            f"{2 * sequence_tokens} or more",
        )


def identity(config: RunConfig) -> dict[str, object]:
    """The settings that decide what is trained: goes into fingerprints, and is what a resumed run must repeat."""
    without = _NOT_IDENTITY if config.selects else _NOT_IDENTITY | _SELECTION
    settings = {k: v for k, v in dataclasses.asdict(config).items() if k not in without}
    parallel = typing.cast("dict[str, object]", settings.pop("parallel"))
    settings["precision"] = parallel["precision"]
    if config.init:
        del settings["model"]
    return settings


def load(kind: type[C], folder: str, arguments: Sequence[str]) -> C:
    """Read `[CONFIG] key=value ...`. CONFIG is a file, or a name in trainers/configs/<folder>/.

    Raises ValueError naming the place, what was found, what is wanted and the nearest known name.
    """
    names = [argument for argument in arguments if "=" not in argument]
    if len(names) > 1:
        raise ValueError(f"one configuration expected, got {names}; settings are written key=value")
    place = strict_yaml.place_of(names[0], SHIPPED / folder) if names else "the command"
    values = strict_yaml.read(strict_yaml.text_of(place), place) if names else {}
    for argument in arguments:
        if "=" in argument:
            strict_yaml.override(values, argument)
    return typing.cast(C, strict_yaml.convert(kind, values, place))


def _at_least(name: str, value: int, least: int) -> None:
    if value < least:
        raise SettingError(name, f"must be at least {least}, got {value}")
