"""Trains a small model with a generated layer to copy symbols: the same text in, the same parameters, kernels or not.

    statefuse compile examples/s6.ssm --target torch --out-dir build --size D=128 --size N=16 && pip install ./build
    python train.py
    torchrun --nproc-per-node 2 train.py    # DistributedDataParallel, where there are several GPUs

The model sees 8 symbols, then noise, and must name the symbols in order when a mark follows (selective copying,
Gu and Dao 2023, section 4.1): a layer that cannot choose what to keep does not learn it.
"""
from __future__ import annotations

import argparse
import os
import time

import torch
import torch.distributed as dist
from statefuse_s6 import LAYER, S6

SYMBOLS, MARK, NOISE = 8, 8, 9
WIDTH, STATE = LAYER.parameters[0].sizes


class Block(torch.nn.Module):
    """Norm, projections, the layer, a projection back, around a residual."""

    def __init__(self, implementation: str) -> None:
        super().__init__()
        self.norm = torch.nn.LayerNorm(WIDTH)
        self.enter = torch.nn.Linear(WIDTH, 3 * WIDTH + 2 * STATE)
        self.mix = torch.nn.Conv1d(WIDTH, WIDTH, 4, padding=3, groups=WIDTH)
        self.layer = S6(implementation=implementation)
        self.leave = torch.nn.Linear(WIDTH, WIDTH)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        u, delta, z, B, C = self.enter(self.norm(x)).split([WIDTH, WIDTH, WIDTH, STATE, STATE], dim=-1)
        u = torch.nn.functional.silu(self.mix(u.transpose(1, 2))[..., : x.shape[1]].transpose(1, 2))
        return x + self.leave(self.layer(u, delta, B, C, z))


class Model(torch.nn.Module):
    def __init__(self, blocks: int, implementation: str) -> None:
        super().__init__()
        self.embed = torch.nn.Embedding(NOISE + 1, WIDTH)
        self.blocks = torch.nn.Sequential(*(Block(implementation) for _ in range(blocks)))
        self.norm = torch.nn.LayerNorm(WIDTH)
        self.head = torch.nn.Linear(WIDTH, SYMBOLS)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.head(self.norm(self.blocks(self.embed(tokens))))


def draw(batch: int, length: int, count: int, device: torch.device):
    """Symbols at random places among noise, then marks where they are to be named."""
    symbols = torch.randint(0, SYMBOLS, (batch, count), device=device)
    tokens = torch.full((batch, length), NOISE, device=device)
    places = torch.rand(batch, length - count, device=device).argsort(1)[:, :count].sort(1).values
    tokens.scatter_(1, places, symbols)
    tokens[:, length - count :] = MARK
    return tokens, symbols


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--steps", type=int, default=400)
    options.add_argument("--length", type=int, default=128)
    options.add_argument("--count", type=int, default=4)
    options.add_argument("--blocks", type=int, default=2)
    options.add_argument("--compile", action="store_true")
    given = options.parse_args()
    rank = int(os.environ.get("RANK", "0"))
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0"))) if torch.cuda.is_available() else torch.device("cpu")
    is_parallel = "WORLD_SIZE" in os.environ
    if is_parallel:
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    torch.manual_seed(0)
    model = Model(given.blocks, "kernels" if device.type == "cuda" else "reference").to(device)
    run = torch.compile(model) if given.compile else model
    if is_parallel:
        run = torch.nn.parallel.DistributedDataParallel(run, device_ids=[device.index] if device.index is not None else None)
    optimiser = torch.optim.AdamW(model.parameters(), 2e-3, weight_decay=0.01)
    torch.manual_seed(1 + rank)
    start = time.perf_counter()
    for step in range(1, given.steps + 1):
        tokens, symbols = draw(64, given.length, given.count, device)
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=device.type == "cuda"):
            logits = run(tokens)[:, -given.count :].float()
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), symbols.flatten())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if rank == 0 and (step % 50 == 0 or step == given.steps):
            right = (logits.argmax(-1) == symbols).float().mean().item()
            print(f"step {step}: loss {loss.item():.3f}, right {right:.3f}, {time.perf_counter() - start:.1f} s", flush=True)
    if is_parallel:
        dist.destroy_process_group()


if __name__ == "__main__":
    main()
