"""What is kept of a prompt and a response that are too long together: one rule for training, scoring and counting.

It knows the two lengths and the limit alone, so that a response is read as it is whatever others its prompt has:
 1. the prompt loses tokens on the left, start control tokens included, as a Hugging Face tokenizer with
    truncation_side="left" does, but keeps a quarter of the limit;
 2. a response still too long loses tokens before its last one, the score token, which always stays.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.integer]


def cut_lengths(prompt: Ints | int, response: Ints, limit: int) -> tuple[Ints, Ints]:
    """Tokens kept of prompts (their right ends) and of responses (their starts, and their last tokens); all [N]."""
    kept = np.minimum(prompt, np.maximum(limit - response, np.minimum(prompt, limit // 4)))
    return kept, np.minimum(response, limit - kept)
