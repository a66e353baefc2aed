#!/usr/bin/env python3
"""Times statefuse's PyTorch packages and their peers in one process, checks everything against float64, prints
a table and writes the same numbers as JSON.

    python bench/peers/run.py --ours DIR [--peers DIR] [--json FILE] [--only TEXT ...] [--sweep] [--budget 0.4]

--ours: the folder that emit.sh wrote. --peers: a folder with the peers' packages and compiled extensions, if
they are not installed. --only: rows whose name has one of the texts. --list: names of the rows.
--small: tiny shapes, no times, also without a GPU.
"""

import argparse
import gc
import json
import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent))

import floors  # noqa: E402
import timing  # noqa: E402
import workloads as rows  # noqa: E402
from peers import Absent, OurPackages, use_folder  # noqa: E402
from reference import relative_error  # noqa: E402

TOLERANCE = {"bf16": 1e-2, "f32": 1e-4, "c64": 1e-4}
CHECKED_CHANNELS = 8
HEADER = ("workload", "implementation", "graph us", "eager us", "GB/s", "floor us", "% of floor", "ours is faster", "error")


def check(workload, results, inputs):
    """Greatest relative L2 error against float64 over the first and the last channels, with its tensor."""
    channels = inputs["A_log"].shape[0] if "A_log" in inputs else next(iter(inputs.values())).shape[-1]
    width = min(CHECKED_CHANNELS, channels)
    worst = ("", 0.0)
    for start in {0, channels - width}:
        part = slice(start, start + width)
        for name, wanted in workload.expected(inputs, part).items():
            found = results[name].detach()
            axis = workload.channel_axis[name]
            found = found if axis is None else found.narrow(axis, part.start, width)
            error = relative_error(found, wanted.detach())
            if not error <= worst[1]:
                worst = (name, error)
    return worst


def agreement(results, others):
    """Greatest relative L2 difference of whole tensors between two implementations."""
    both = [name for name in results if name in others]
    return max((relative_error(results[name].detach(), rows.wide(others[name].detach())) for name in both), default=None)


def measure(workload, implementation, options, chip, first):
    """One line of the table; `first` holds the results of ours, for the comparison of whole tensors."""
    is_cuda = options.device == "cuda"
    inputs = workload.inputs(1)
    prepared = implementation.prepare(inputs, workload.which)
    results = {name: each.clone() for name, each in prepared.results(prepared.call()).items()}
    tensor, error = check(workload, results, inputs)
    line = {"error": error, "errorTensor": tensor, "passed": error <= TOLERANCE[workload.dtype], "times": {}}
    if first is not None:
        line["differenceFromOurs"] = agreement(results, first)
    if is_cuda and not options.small:
        size = sum(each.numel() * each.element_size() for each in inputs.values())
        count = timing.sets_needed(size, torch.cuda.get_device_properties(0).L2_cache_size)
        calls = [prepared.call] + [implementation.prepare(workload.inputs(seed), workload.which).call for seed in range(2, count + 1)]
        clocks = {"host": timing.time_host} if implementation.clock == "host" else {"graph": timing.time_graph, "eager": timing.time_eager}
        for name, clock in clocks.items():
            try:
                line["times"][name] = clock(calls, options.budget).__dict__
            except Exception as failure:
                line.setdefault("failures", {})[name] = f"{type(failure).__name__}: {str(failure).splitlines()[0][:200]}"
        line["sets"] = count
        best = line["times"].get("graph") or line["times"].get("host") or line["times"].get("eager")
        if best is not None:
            line["gigabytesPerSecond"] = workload.bytes / best["median"] / 1e3
            if chip is not None:
                line["floor"] = 1e6 * workload.floor(chip)
                line["percentOfFloor"] = 100 * line["floor"] / best["median"]
    return line, results


def run_workload(workload, options, chip):
    lines, ours = [], None
    for implementation in workload.implementations:
        base = {"workload": workload.name, "family": workload.family, "pass": workload.which, "dtype": workload.dtype,
                "shape": workload.shape, "implementation": implementation.name, "kind": implementation.kind}
        try:
            line, results = measure(workload, implementation, options, chip, ours)
            if implementation.kind == "ours":
                ours = results
        except Absent as reason:
            line = {"absent": str(reason)}
        except Exception as failure:
            line = {"failed": f"{type(failure).__name__}: {str(failure).splitlines()[0][:300] if str(failure) else ''}"}
        lines.append({**base, **line})
        results = None
        gc.collect()
        if options.device == "cuda":
            torch.cuda.empty_cache()
    own = next((each for each in lines if each["kind"] == "ours" and "times" in each), None)
    for line in lines:
        if own is None or line is own or "times" not in line:
            continue
        line["ratio"] = {
            clock: line["times"][clock]["median"] / own["times"][other]["median"]
            for clock, other in (("graph", "graph"), ("eager", "eager"), ("host", "eager"))
            if clock in line["times"] and other in own["times"]
        }
    return lines


def cells(line):
    if "absent" in line or "failed" in line:
        what = f"absent: {line['absent']}" if "absent" in line else f"FAILED: {line['failed']}"
        return (line["workload"], line["implementation"], what)
    number = lambda value, digits=1: "-" if value is None else f"{value:.{digits}f}"
    times = line["times"]
    median = lambda clock: number(times[clock]["median"]) if clock in times else ("host" if "host" in times and clock == "graph" else "-")
    eager = median("host") if "host" in times else median("eager")
    ratio = ", ".join(f"{value:.2f}" for value in line.get("ratio", {}).values()) or "-"
    error = f"{line['error']:.1e}{'' if line['passed'] else ' (' + line['errorTensor'] + ') WRONG'}"
    failures = "".join(f" [{clock} failed: {why}]" for clock, why in line.get("failures", {}).items())
    return (line["workload"], line["implementation"], median("graph"), eager, number(line.get("gigabytesPerSecond"), 0),
            number(line.get("floor")), number(line.get("percentOfFloor"), 0), ratio, error + failures)


def print_table(lines):
    table = [HEADER, *map(cells, lines)]
    widths = [max(len(row[at]) for row in table if len(row) == len(HEADER)) for at in range(len(HEADER))]
    for row in table:
        print("  ".join(cell.ljust(widths[at]) for at, cell in enumerate(row)).rstrip())


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ours")
    parser.add_argument("--peers")
    parser.add_argument("--json")
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--without", nargs="*", default=[], help="leave out implementations whose name has one of the texts")
    parser.add_argument("--sweep", action="store_true")
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--budget", type=float, default=0.4, help="seconds per measurement")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args()
    if options.device == "cpu" and not options.small and not options.list:
        parser.error("there is no CUDA device; --small tries the program without one")
    return options


def main():
    options = parse_options()
    use_folder(options.peers)
    ours = OurPackages(options.ours)
    chosen = rows.small_workloads(options.device, ours) if options.small else rows.all_workloads(options.device, ours)
    if options.sweep:
        chosen += rows.sweep_workloads(options.device, ours)
    chosen = [each for each in chosen if not options.only or any(text in each.name for text in options.only)]
    if options.list:
        print("\n".join(each.name for each in chosen))
        return 0
    name = torch.cuda.get_device_name() if options.device == "cuda" else "CPU"
    chip = floors.chip_named(name)
    print(f"{name}, torch {torch.__version__}, CUDA {torch.version.cuda}; floors: {'rates of the chip' if chip else 'unknown chip'}")
    document = {"schema": "statefuse-peers", "version": 1, "device": name, "torch": torch.__version__, "cuda": torch.version.cuda,
                "chip": None if chip is None else chip.__dict__, "rows": []}
    stream = torch.cuda.Stream() if options.device == "cuda" else None
    if stream is not None:
        torch.cuda.set_stream(stream)  # graphs of backward passes are captured on the stream the forward ran on
    for workload in chosen:
        workload = rows.leave_out(workload, options.without)
        lines = run_workload(workload, options, chip)
        document["rows"] += lines
        for line in lines:
            print("  ".join(cells(line)), flush=True)
        if options.json is not None:  # after each row: a run that is cut short keeps what it has
            Path(options.json).write_text(json.dumps(document, indent=1))
    print()
    print_table(document["rows"])
    bad = [each for each in document["rows"] if "failed" in each or each.get("passed") is False or "failures" in each]
    ours_bad = [each for each in bad if each["kind"] == "ours"]  # a peer may be wrong: that is a finding, not a failure
    print(f"\n{len(document['rows'])} lines, {len(bad)} with failures or wrong results, {len(ours_bad)} of them ours")
    return 1 if ours_bad else 0


if __name__ == "__main__":
    sys.exit(main())
