/** `memory.py` of an emitted package, the same in every one. Device memory that is kept. */
export const memoryPython: string = String.raw`"""Memory of a device that is kept for good: zeros for absent states, and a place for results that nobody wants."""
from __future__ import annotations

from typing import Dict, List, Optional, Tuple

import torch

#: Larger blocks are not kept.
MOST_KEPT = 64 * 2**20


class Kept:
    """Memory of a device that stays where it is: zeros for absent states, and a place for results that nobody wants."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.blocks: List[torch.Tensor] = []
        self.bytes = 0
        self.pointer = 0

    def at(self, size: int) -> Tuple[int, Optional[torch.Tensor]]:
        """A pointer to so many zeros, and what must live until the launch where it is not kept here."""
        if size <= self.bytes:
            return self.pointer, None
        if size > MOST_KEPT or torch.cuda.is_current_stream_capturing():
            own = torch.zeros(size, dtype=torch.uint8, device=self.device)
            return own.data_ptr(), own
        made = torch.zeros(max(65536, 2 ** (size - 1).bit_length()), dtype=torch.uint8, device=self.device)
        torch.cuda.current_stream(self.device).synchronize()  # once per growth: other streams may use it next
        self.blocks.append(made)  # smaller ones stay: a captured graph may point at them
        self.bytes, self.pointer = made.numel(), made.data_ptr()
        return self.pointer, None


#: By device. Two kinds, since unwanted results would not stay zero.
ZEROS: Dict[int, Kept] = {}
UNWANTED: Dict[int, Kept] = {}
`;
