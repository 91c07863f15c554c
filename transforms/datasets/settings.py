"""A setting whose value cannot be: an error that whoever read the value tells as its user wrote it.

The same dataclass is a section of a build file, `--set` of a command, flags of another: `tokenizer.sample_bytes` here,
`--sample-bytes` there. So what checks a value names the field alone, `strict_yaml` puts the keys above it, and the
command line makes it a flag.
"""

from __future__ import annotations


class SettingError(ValueError):
    """setting: the field's name. problem: what follows it in a message: "must be positive, got 0". flag: of the command
    line, where that has another name than the field."""

    def __init__(self, setting: str, problem: str, flag: str | None = None) -> None:
        super().__init__(setting, problem, flag)  # so that it can be pickled
        self.setting, self.problem = setting, problem
        self.flag = flag or f"--{setting.replace('_', '-')}"

    def __str__(self) -> str:
        return f"{self.setting} {self.problem}"

    def of_flag(self) -> str:
        """As the command line has it."""
        return f"{self.flag} {self.problem}"
