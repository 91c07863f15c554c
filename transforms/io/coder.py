"""How Beam carries a shard between stages, and how large it takes one to be."""

from __future__ import annotations

import pickle

import apache_beam as beam

from transforms.io.shard import Shard


class _ShardCoder(beam.coders.Coder):
    """Pickles. Beam asks for the size of many elements, also within a stage, and would pickle their tables to tell."""

    def encode(self, value: Shard) -> bytes:
        return pickle.dumps(value, protocol=5)

    def decode(self, encoded: bytes) -> Shard:
        shard: Shard = pickle.loads(encoded)
        return shard

    def estimate_size(self, value: Shard) -> int:
        return value.nbytes

    def is_deterministic(self) -> bool:
        return False  # nobody groups by a shard

    def to_type_hint(self) -> type[Shard]:
        return Shard


beam.coders.registry.register_coder(Shard, _ShardCoder)
