"""Times of GPU work: under CUDA graph replay, eagerly with CUDA events, and of a host clock for what has its
own runtime. Every sample is one call (or one graph of several calls, divided); inputs rotate over sets that
together exceed the L2 cache."""

import statistics
import time
from dataclasses import dataclass
from typing import Callable, Optional, Sequence

import torch


@dataclass(frozen=True)
class Timing:
    """Microseconds of one call."""

    median: float
    least: float
    most: float
    samples: int


def summarize(times: Sequence[float]) -> Timing:
    return Timing(statistics.median(times), min(times), max(times), len(times))


def sets_needed(bytes_of_one: int, cache: int, most: int = 8) -> int:
    """Number of input sets that together are three times the cache, at least 2."""
    return max(2, min(most, -(-3 * cache // max(1, bytes_of_one)) + 1))


def repeats_for(microseconds: float, budget: float, least: int = 10, wanted: int = 100) -> int:
    """As many samples as the budget in seconds allows; `wanted` where it allows more."""
    return max(least, min(wanted, int(budget * 1e6 / max(1.0, microseconds))))


Call = Callable[[], object]


def _event_times(run: Sequence[Call], repeats: int) -> list[float]:
    marks = [(torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)) for _ in range(repeats)]
    for at, (start, end) in enumerate(marks):
        start.record()
        run[at % len(run)]()
        end.record()
    torch.cuda.synchronize()
    return [1e3 * start.elapsed_time(end) for start, end in marks]


def time_eager(calls: Sequence[Call], budget: float) -> Timing:
    """Events around each call as Python makes it: host time shows where it exceeds the device's."""
    for call in calls:
        call()
    torch.cuda.synchronize()
    first = _event_times(calls, 3)
    repeats = repeats_for(statistics.median(first), budget)
    _event_times(calls, max(3, repeats // 10))
    return summarize(_event_times(calls, repeats))


def time_graph(calls: Sequence[Call], budget: float, pool: Optional[object] = None) -> Timing:
    """Replay of captured calls. Short calls are captured many to a graph, over all input sets in turn, so that
    the launch of the graph itself is spread over them."""
    for _ in range(2):
        for call in calls:
            call()
    torch.cuda.synchronize()
    estimate = statistics.median(_event_times(calls, max(3, len(calls))))
    rounds = max(1, int(300 / max(1.0, estimate * len(calls))))
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, stream=torch.cuda.current_stream()):
        for _ in range(rounds):
            for call in calls:
                call()
    count = rounds * len(calls)
    for _ in range(3):
        graph.replay()
    torch.cuda.synchronize()
    one = statistics.median(_event_times([graph.replay], 3))
    times = _event_times([graph.replay], repeats_for(one, budget))
    result = summarize([each / count for each in times])
    del graph
    return result


def time_host(calls: Sequence[Call], budget: float) -> Timing:
    """Host clock around calls that return when the device is done."""
    for call in calls:
        call()
    start = time.perf_counter()
    calls[0]()
    repeats = repeats_for(1e6 * (time.perf_counter() - start), budget)
    times = []
    for at in range(repeats):
        start = time.perf_counter()
        calls[at % len(calls)]()
        times.append(1e6 * (time.perf_counter() - start))
    return summarize(times)
