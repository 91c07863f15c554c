"""Processes, devices and sharding: the only file that knows them. One CPU process is the identity.

Started by `trainers.run`, every process is one rank: gloo on CPU, NCCL on CUDA. The model is sharded with FSDP2
(`fully_shard`) layer by layer; `replicate` > 1 gives HSDP. On CUDA matrix products run in bf16 when asked for, while
parameters, gradient reductions, the reward head and everything after it stay fp32.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import checkpoint_wrapper
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor

from trainers.configs import Parallel

T = TypeVar("T")


@dataclass(frozen=True)
class Ranks:
    """This process among `world`. mesh is None for one CPU process, which shards nothing."""

    rank: int
    world: int
    device: torch.device
    mesh: DeviceMesh | None
    precision: str = "fp32"

    @property
    def first(self) -> bool:
        """Whether this rank writes and speaks for all."""
        return self.rank == 0

    def put(self, array: npt.NDArray[np.generic]) -> Tensor:
        """A numpy array as a tensor on this rank's device."""
        return torch.from_numpy(np.ascontiguousarray(array)).to(self.device, non_blocking=True)

    def zeros(self, size: int) -> Tensor:
        """[size] zeros in fp64 on this rank's device, to add up numbers without waiting for them."""
        return torch.zeros(size, dtype=torch.float64, device=self.device)

    def sum(self, values: Tensor) -> list[float]:
        """Element-wise sums of [N] over all ranks, the same numbers on each. Waits for the device."""
        if self.world > 1:
            dist.all_reduce(values)
        return [float(value) for value in values.tolist()]

    def from_first(self, value: T) -> T:
        """The first rank's value, on every rank."""
        if self.world == 1:
            return value
        box = [value]
        dist.broadcast_object_list(box, src=0)
        return box[0]

    def gather(self, value: T) -> list[T]:
        """Every rank's value, in their order, on every rank."""
        if self.world == 1:
            return [value]
        box = [value] * self.world
        dist.all_gather_object(box, value)
        return box

    def wait(self) -> None:
        """Until every rank is here."""
        if self.world > 1:
            dist.barrier()

    def close(self) -> None:
        """Leaves the process group; the barrier keeps a fast rank from tearing down a slow one's connections."""
        if dist.is_initialized():
            dist.barrier()
            dist.destroy_process_group()


class AnyRank:
    """Whether any rank has something to say, known to all of them at the same call, on the host, and hardly waited for.

    Each call begins a reduction over the ranks and answers by that of the call before: all have begun that one, or are
    about to. Every rank must call it equally often.
    """

    def __init__(self, ranks: Ranks) -> None:
        self._group = dist.new_group(backend="gloo") if ranks.world > 1 else None  # also where ranks have CUDA
        self._last: tuple[Tensor, dist.Work] | None = None

    def says(self, here: bool) -> bool:
        """Whether some rank passed True to its call before; for a process alone, to this one."""
        if self._group is None:
            return here
        said = torch.tensor(int(here))
        work = dist.all_reduce(said, group=self._group, async_op=True)
        before, self._last = self._last, (said, work)
        return before is not None and _is_set(*before)

    def close(self) -> None:
        """Waits for the reduction that is under way, after the same number of calls on every rank."""
        if self._last is not None:
            _is_set(*self._last)


def _is_set(said: Tensor, work: dist.Work) -> bool:
    work.wait()
    return bool(said)


def start(settings: Parallel, threads: int) -> Ranks:
    """Joins the process group when there are several ranks, and makes arithmetic repeatable.

    Raises ValueError when replicate does not divide the number of ranks, or bf16 is asked for without CUDA.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS is repeatable only with it
    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(threads)
    on_cuda = torch.cuda.is_available()
    if settings.precision == "bf16" and not on_cuda:
        raise ValueError("parallel.precision bf16 needs CUDA and this machine has none: set parallel.precision=fp32")
    world = int(os.environ.get("WORLD_SIZE", "1"))
    rank = int(os.environ.get("RANK", "0"))
    if world % settings.replicate:
        raise ValueError(f"parallel.replicate {settings.replicate} does not divide {world} ranks: change one")
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0"))) if on_cuda else torch.device("cpu")
    if on_cuda:
        torch.cuda.set_device(device)
    if not on_cuda and world == 1:
        return Ranks(0, 1, device, None)
    # gloo beside NCCL carries the small Python objects of checkpoints and broadcasts
    backend = "cpu:gloo,cuda:nccl" if on_cuda else "gloo"
    if "RANK" in os.environ:
        dist.init_process_group(backend)
    else:
        dist.init_process_group(backend, store=dist.HashStore(), rank=0, world_size=1)
    if settings.replicate > 1:
        shape, names = (settings.replicate, world // settings.replicate), ("replicate", "shard")
        mesh = init_device_mesh(device.type, shape, mesh_dim_names=names)
    else:
        mesh = init_device_mesh(device.type, (world,), mesh_dim_names=("shard",))
    return Ranks(rank, world, device, mesh, settings.precision)


def shard(
    model: nn.Module, layers: Iterable[nn.Module], full_precision: Iterable[nn.Module], ranks: Ranks, recompute: bool
) -> nn.Module:
    """Shards the model over the ranks, one unit per layer; the same model for one CPU process.

    full_precision: modules that keep fp32 whatever the policy (the reward head). recompute: layers keep only their
    input for the backward pass and run again in it.
    """
    layers = list(layers)
    if recompute:
        for parent in list(model.modules()):
            for name, child in list(parent.named_children()):
                if any(child is layer for layer in layers):
                    wrapped = checkpoint_wrapper(child)
                    parent.register_module(name, wrapped)
                    layers = [wrapped if layer is child else layer for layer in layers]
    if ranks.mesh is None:
        return model
    policy = MixedPrecisionPolicy()
    if ranks.precision == "bf16":
        policy = MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32)
    for module in full_precision:
        fully_shard(module, mesh=ranks.mesh)
    for layer in layers:
        fully_shard(layer, mesh=ranks.mesh, mp_policy=policy)
    fully_shard(model, mesh=ranks.mesh, mp_policy=policy)
    return model


def reduce_gradients(model: nn.Module, now: bool) -> None:
    """Whether the next backward pass reduces gradients over the ranks; only the last micro-batch of a step does."""
    if isinstance(model, FSDPModule):
        model.set_requires_gradient_sync(now)


@contextmanager
def inference(model: nn.Module) -> Iterator[None]:
    """Forward passes without gradients and without dropout, as in validation."""
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        model.train(was_training)
        reshard(model)


def reshard(model: nn.Module) -> None:
    """Gives up weights that FSDP keeps gathered after a forward pass, for the backward pass that follows: where none
    does, an optimizer or a checkpoint would hold the gathered copies."""
    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.reshard()


def clip(model: nn.Module, largest: float) -> float:
    """Scales gradients so that their global norm is at most `largest`; returns the norm before, equal on all ranks."""
    norm = nn.utils.clip_grad_norm_(model.parameters(), largest)
    return float(norm.full_tensor() if isinstance(norm, DTensor) else norm)


def full_state(model: nn.Module) -> dict[str, Tensor]:
    """All weights in whole, on the CPU of the first rank; empty elsewhere. Every rank must call it."""
    options = StateDictOptions(full_state_dict=True, cpu_offload=True)
    return dict(get_model_state_dict(model, options=options))
