"""Two processes with half of a sequence each get what one process gets: outputs and all gradients.

    statefuse compile examples/s6.ssm --target torch --out-dir build --size D=64 && pip install ./build
    python check_sequence_parallel.py

With two GPUs they use NCCL, with one both use it through gloo, without any the reference computes.
"""
from __future__ import annotations

import os
import socket

import torch
import torch.distributed as dist
import torch.multiprocessing as processes

from sequence_parallel import run_piece
from statefuse_s6 import LAYER, S6

BATCH, LENGTH = 2, 96


def make_inputs():
    torch.manual_seed(1)
    return [0.5 * torch.randn(value.shape(BATCH, LENGTH), dtype=torch.float32) for value in LAYER.inputs]


def run(rank: int, size: int, port: int) -> None:
    gpus = torch.cuda.device_count()
    device = torch.device("cuda", rank % gpus) if gpus else torch.device("cpu")
    if gpus:
        torch.cuda.set_device(device)
    dist.init_process_group(
        "nccl" if gpus >= size else "gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=size
    )
    torch.manual_seed(0)
    module = S6(implementation="kernels" if gpus else "reference").to(device)
    inputs = make_inputs()
    whole = [value.clone().to(device).requires_grad_() for value in inputs]
    expected = module(*whole)
    expected.square().sum().backward()
    wanted = {name: parameter.grad.clone() for name, parameter in module.named_parameters()}
    module.zero_grad()

    start, stop = rank * LENGTH // size, (rank + 1) * LENGTH // size
    piece = [value[:, start:stop].clone().to(device).requires_grad_() for value in inputs]
    output = run_piece(lambda x: module(*piece, x_initial=x, return_final=True), module.initial_state(BATCH))
    output.square().sum().backward()

    close(output, expected[:, start:stop], "output")
    for value, mine, full in zip(LAYER.inputs, piece, whole):
        close(mine.grad, full.grad[:, start:stop], f"gradient of {value.name}")
    for name, parameter in module.named_parameters():
        total = parameter.grad.cpu() if dist.get_backend() == "gloo" else parameter.grad
        dist.all_reduce(total)
        close(total.to(device), wanted[name], f"gradient of {name}")
    print(f"rank {rank} of {size} on {device} with {dist.get_backend()}: agrees", flush=True)
    dist.destroy_process_group()


def close(found: torch.Tensor, expected: torch.Tensor, what: str) -> None:
    error = float((found - expected).abs().max()) / float(expected.abs().max())
    if not error < 1e-4:
        raise AssertionError(f"{what}: relative error {error}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


if __name__ == "__main__":
    count = int(os.environ.get("PROCESSES", "2"))
    processes.spawn(run, args=(count, free_port()), nprocs=count)
