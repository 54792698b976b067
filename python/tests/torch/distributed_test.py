"""distributed_test.py - several processes: DDP, FSDP2, ZeRO, norms and skips over ranks. One torchrun for each number
of ranks runs all of scenarios.py, over gloo. Rows 38 to 43 of the table in docs/python/pytorch.md."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

import scenarios

WORLDS = (2, 4, 1)  # In this order, so that checkpoints go to more ranks and to fewer.
HERE = pathlib.Path(__file__).parent


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Returns what the scenarios gave, by number of ranks."""
    folder = tmp_path_factory.mktemp("distributed")
    found = {}
    for ranks in WORLDS:
        run = subprocess.run(
            [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={ranks}",
             HERE / "scenarios.py", folder], capture_output=True, text=True, timeout=150,
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0"})
        assert run.returncode == 0, run.stdout[-2000:] + run.stderr[-4000:]
        found[ranks] = json.loads((folder / f"{ranks}.json").read_text())
    return found


@pytest.mark.parametrize("ranks", WORLDS)
@pytest.mark.parametrize("name", scenarios.SCENARIOS)
def test_scenario(results, ranks, name):
    result = results[ranks][name]
    assert not (isinstance(result, dict) and "failed" in result), result["failed"]
    if isinstance(result, str) and result.startswith("skipped: "):
        pytest.skip(result.removeprefix("skipped: "))


@pytest.mark.parametrize("name", [
    "shards_have_the_bits_of_the_whole", "perturbed_shards_have_the_bits_of_the_whole",
    "norms_of_whole_tensors_have_the_bits_of_the_whole", "parameters_are_clipped_by_their_norms_on_all_ranks",
    "blocks_of_8_bit_states_have_the_bits_of_the_whole", "checkpoints_of_other_numbers_of_ranks_are_loaded"])
def test_bits_do_not_depend_on_the_number_of_ranks(results, name):
    assert results[1][name] == results[2][name] == results[4][name]
