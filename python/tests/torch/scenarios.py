"""scenarios.py - the program of every rank of a distributed run; distributed_test.py starts it by torchrun, once for
each number of ranks, with a folder, and reads what rank 0 has written there."""

import datetime
import json
import os
import sys
import traceback

import torch
import torch.distributed as dist

import scenarios_models
import scenarios_tensors
from scenario_tools import FOLDER, SCENARIOS, world

assert scenarios_models and scenarios_tensors  # Importing them lists their scenarios.


def run_all():
    """Returns the results of all scenarios: the same on every rank."""
    results = {}
    for name, run in SCENARIOS.items():
        try:
            results[name] = run()
        except Exception:
            results[name] = {"failed": traceback.format_exc()}
            print(f"rank {dist.get_rank()}: {name}: {results[name]['failed']}", flush=True)
        gathered = [None] * world()
        dist.all_gather_object(gathered, results[name])
        failed = [one for one in gathered if isinstance(one, dict) and "failed" in one]
        results[name] = failed[0] if failed else results[name]
        if not failed and any(one != gathered[0] for one in gathered):
            results[name] = {"failed": f"ranks differ: {gathered}"}
    return results


if __name__ == "__main__":
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    dist.init_process_group(backend, timeout=datetime.timedelta(seconds=30))  # A rank that waits for a dead one fails.
    found = run_all()
    if dist.get_rank() == 0:
        (FOLDER / f"{world()}.json").write_text(json.dumps(found))
    dist.barrier()
    dist.destroy_process_group()
    sys.stdout.flush()
    os._exit(0)  # gloo's threads may still run here, and end a process that waits for them by an abort.
