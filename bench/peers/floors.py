"""Lower bounds of each workload's time on a chip, as formulas of its shape.

Three resources bound a scan: bytes moved to and from memory, exponentials of the special function units, and
issue slots (one per lane and cycle; a multiply-add, a shared-memory read and an exponential take one each).
An exponential can also be a polynomial of 8 slots on the multiply-add units, so a kernel may balance the two:
with E exponentials and S slots per element, moving k of them gives E - k and S + 7 k, best where both take
equally long. A floor is the largest of the bounds; no kernel can be faster, good ones come near.
"""

from dataclasses import dataclass
from typing import Optional


@dataclass(frozen=True)
class Chip:
    """Rates per second: bytes as a large copy reaches them, exponentials, issue slots, tf32 operations."""

    bytes: float
    exponentials: float
    slots: float
    tf32: float


# 132 multiprocessors of 128 lanes at 1.98 GHz; a special function unit takes 16 per multiprocessor and cycle
CHIPS = {
    "H200": Chip(bytes=4.3e12, exponentials=4.18e12, slots=33.45e12, tf32=395e12),
    "H100": Chip(bytes=3.0e12, exponentials=4.18e12, slots=33.45e12, tf32=395e12),
}


def chip_named(name: str) -> Optional[Chip]:
    """The chip of a device name, or None: then the table has no floors."""
    return next((chip for key, chip in CHIPS.items() if key in name), None)


def balanced(chip: Chip, count: float, exponentials: float, slots: float) -> float:
    """Seconds for `count` elements with exponentials and slots each, exponentials moved where that helps."""
    per_slot = chip.slots / chip.exponentials
    moved = min(exponentials, max(0.0, (per_slot * exponentials - slots) / (7 + per_slot)))
    return count * max((exponentials - moved) / chip.exponentials, (slots + 7 * moved) / chip.slots)


def s6_forward(chip: Chip, batch: int, channels: int, length: int, states: int, size: int) -> float:
    """Per token and channel: u, delta, z read and y written; an exponential per state, 2 each of softplus and
    silu; 4 slots per state, one per exponential, 8 for reading B and C from shared memory, 14 for the rest."""
    count = batch * channels * length
    exponentials = states + 4
    memory = (4 * size * count + 2 * size * batch * length * states) / chip.bytes
    return max(memory, balanced(chip, count, exponentials, 4 * states + exponentials + 22))


def s6_backward(chip: Chip, batch: int, channels: int, length: int, states: int, size: int) -> float:
    """Reads u, delta, z, dy, writes du, ddelta, dz; one f32 state per 64 tokens; 19 slots per state (replay 3,
    adjoint 2, products and sums of the gradients 14), states + 6 exponentials kept from the replay."""
    count = batch * channels * length
    memory = (7 * size + 4 * states / 64) * count / chip.bytes
    return max(memory, count * (states + 6) / chip.exponentials, count * 19 * states / chip.slots)


def s6_step(chip: Chip, batch: int, channels: int, states: int, size: int) -> float:
    """The f32 state read and written; u, delta, z, y and the weights are small beside it."""
    return batch * channels * (8 * states + 4 * size) / chip.bytes


def scan_forward(chip: Chip, batch: int, channels: int, length: int, size: int) -> float:
    """a and b read, h written; `size` is 4 for real and 8 for complex numbers."""
    return 3 * size * batch * channels * length / chip.bytes


def scan_backward(chip: Chip, batch: int, channels: int, length: int, size: int) -> float:
    """a, h and dh read, da and db written."""
    return 5 * size * batch * channels * length / chip.bytes


def lti_forward(chip: Chip, batch: int, channels: int, length: int, size: int) -> float:
    """u read and y written; a chunked Toeplitz product with states in and out of 400 operations per element,
    three times for f32 results from tf32 products."""
    count = batch * channels * length
    return max(2 * size * count / chip.bytes, 3 * 400 * count / chip.tf32)
