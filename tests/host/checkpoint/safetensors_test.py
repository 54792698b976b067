"""A reader that knows safetensors and docs/checkpoints.md, and nothing else, finds every number of a checkpoint."""

import json
import math
import pathlib
import struct
import subprocess
import sys
import tempfile
import unittest

WRITER = sys.argv.pop(1)
CODES = {"F32": "f", "F16": "e", "BF16": "H", "I16": "h", "I8": "b", "U8": "B"}


def read(path):
    """Returns the metadata of a safetensors file, and its tensors by name, of numbers. Checks what its readers check."""
    data = pathlib.Path(path).read_bytes()
    (length,) = struct.unpack_from("<Q", data)
    assert 8 + length <= len(data) and length <= 100_000_000 and data[8:9] == b"{"
    header = json.loads(data[8:8 + length].decode())
    body = data[8 + length:]
    metadata = header.pop("__metadata__")
    assert all(isinstance(value, str) for value in metadata.values())
    end, tensors = 0, {}
    for name, tensor in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
        code = CODES[tensor["dtype"]]
        begin, last = tensor["data_offsets"]
        assert begin == end and last - begin == math.prod(tensor["shape"]) * struct.calcsize(code), name
        assert (8 + length + begin) % struct.calcsize(code) == 0, f"{name} is not aligned"
        numbers = struct.unpack(f"<{(last - begin) // struct.calcsize(code)}{code}", body[begin:last])
        tensors[name] = [bf16(one) for one in numbers] if tensor["dtype"] == "BF16" else list(numbers)
        tensors[name + "?"] = tensor["dtype"]
        end = last
    assert end == len(body)
    return metadata, tensors


def bf16(bits):
    return struct.unpack("<f", struct.pack("<I", bits << 16))[0]


def signed8(code, scale):
    y = struct.unpack("<f", struct.pack("<I", (abs(code) << 18) + 0x3F800000))[0]
    return math.copysign((y - 1) * scale / 14.75, code)


def nonnegative8(code, scale):
    return (scale * code / 255) ** 2


def state(tensors, name):
    """Returns the numbers of a state, whatever its format."""
    decode = {"I8": signed8, "U8": nonnegative8}.get(tensors[name + "?"])
    if decode is None:
        return tensors[name]
    scales = tensors[name + ".scales"]
    return [decode(code, scales[i // 32]) for i, code in enumerate(tensors[name])]


def with_rest(tensors, name):
    """Returns the float32 numbers that a parameter and its remainder, or its master, stand for."""
    if name + "/master" in tensors:
        return tensors[name + "/master"]
    rest, shift = tensors[name + "/remainder"], 8 if tensors[name + "/remainder?"] == "I8" else 0
    bits = [struct.unpack("<I", struct.pack("<f", value))[0] for value in tensors[name]]
    return [struct.unpack("<f", struct.pack("<I", one + (more << shift)))[0] for one, more in zip(bits, rest)]


class Safetensors(unittest.TestCase):
    def check(self, format_name, digits):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "run.safetensors"
            printed = subprocess.run([WRITER, path, format_name], capture_output=True, text=True, check=True).stdout
            metadata, tensors = read(path)
        self.assertEqual(metadata["note"], 'é "quoted"')
        document = json.loads(metadata["onepass"])
        self.assertEqual(document["version"], 1)
        (optimizer,) = document["optimizers"]
        self.assertEqual((optimizer["steps"], optimizer["micro_batches"]), (2, 1))
        self.assertEqual(float(optimizer["groups"][0]["hyperparameters"]["lr"]), 0.25)
        self.assertEqual([one["name"] for one in optimizer["parameters"]], ["t0", "t1", "t2"])
        self.assertEqual([(one["step"], one["first"], one["numel"]) for one in optimizer["parameters"]],
                         [(2, 0, 70), (2, 0, 0), (2, 0, 1)])
        lines = printed.splitlines()
        self.assertGreater(len(lines), 14)
        for line in lines:
            key, *numbers = line.split(" ")
            wanted = [float.fromhex(one) for one in numbers]
            is_ = with_rest(tensors, key.removesuffix("/with_rest")) if key.endswith("/with_rest") else state(tensors, key)
            self.assertEqual(len(is_), len(wanted), key)
            for one, other in zip(is_, wanted):
                self.assertAlmostEqual(one, other, delta=digits * abs(other), msg=f"{key} of {format_name}")

    def test_every_number_of_every_format_is_found(self):
        for format_name in ("float32", "bf16", "all_bf16", "bf16_master", "bf16_split", "f16_master"):
            with self.subTest(format_name):
                self.check(format_name, 0)

    def test_eight_bit_states_follow_the_formulas_of_the_docs(self):
        # The library computes in float32: two roundings of 2^-24, and a step that is rounded down.
        self.check("compact", 2 ** -21)


if __name__ == "__main__":
    unittest.main()
