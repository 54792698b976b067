"""Reads the machine code of a kernel: its loops, and the shortest turns of each.

The input is the output of `nvdisasm -c -g`: the text of a cubin, with the lines of the source."""

import collections
import dataclasses
import functools
import itertools
import operator
import re
import typing

# Every rule runs inside the code of this header, so the loops with lines of it are those that move parameters.
AROUND = "onepass/rule/around.hpp"
MANY = 9
# A multiplier of Philox, as an immediate of either sign. It marks the code that draws random words.
PHILOX = re.compile(r"-0x2daee0ad|0xd2511f53", re.I)
INSTRUCTION = re.compile(r"\s*/\*([0-9a-f]{4,})\*/\s+(?:@(!?U?P\w+)\s+)?([A-Z][\w.]*)\s*([^;]*)")
LABEL = re.compile(r"`\((\S+?)\)")
# Compares, shifts, logic and integer additions. A multiprocessor of sm_80 to sm_90 executes 64 of them per cycle, but
# issues 128 instructions and executes 128 floating-point ones (CUDA programming guide, throughput of native arithmetic
# instructions).
HALF_RATE = frozenset("""FMNMX FSEL FSETP I2FP IABS IADD3 IMNMX ISETP LEA LOP3 P2R PLOP3 PRMT R2P SEL SGXT SHF VIADD
                         VIMNMX VIMNMX3""".split())
ENDS = ("BRA", "EXIT", "RET", "BRX", "JMP")


@dataclasses.dataclass(frozen=True)
class Instruction:
    predicate: str
    opcode: str
    operands: str
    file: str  # source file that it was compiled from

    @property
    def name(self):
        return self.opcode.partition(".")[0]


class Accesses(typing.NamedTuple):
    """Global loads and stores of a thread, by width: 16 bytes, 8 bytes, and less."""
    loads16: int = 0
    loads8: int = 0
    loads_narrow: int = 0
    stores16: int = 0
    stores8: int = 0
    stores_narrow: int = 0

    def __add__(self, other):
        return Accesses(*map(operator.add, self, other))

    @property
    def bytes_loaded(self):
        """Bytes that whole tiles load: narrow accesses are left out."""
        return 16 * self.loads16 + 8 * self.loads8

    @property
    def bytes_stored(self):
        return 16 * self.stores16 + 8 * self.stores8

    @property
    def narrow(self):
        """Number of narrow accesses: in a whole tile those of scales, in a cut tile those that are masked."""
        return self.loads_narrow + self.stores_narrow

    def __str__(self):
        return ", ".join(f"{count} {name}" for name, count in self._asdict().items())


WIDE = ("loads16", "loads8", "stores16", "stores8")


class Block:
    """A basic block: instructions that run one after another, and the basic blocks that can follow."""

    def __init__(self, label):
        self.label = label
        self.code = []
        self.next = []

    @functools.cached_property
    def is_slow_path(self):
        """True if there is a call: divisions and roots call a function for numbers that are denormal or not finite."""
        return any(one.name in ("CALL", "WARPSYNC") for one in self.code)

    @functools.cached_property
    def draws(self):
        return any(PHILOX.search(one.operands) for one in self.code)

    @functools.cached_property
    def half_rate(self):
        return sum(one.name in HALF_RATE for one in self.code)

    @functools.cached_property
    def ways(self):
        """The possible accesses, for all values of the predicates: a block may load a gradient of either type."""
        guards = {one.predicate.lstrip("!") for one in self.code if one.predicate and access_of(one.opcode) in WIDE}
        return {self.accesses_without(off) for off in itertools.product(*((guard, "!" + guard) for guard in guards))}

    def accesses_without(self, predicates):
        count = collections.Counter(access_of(one.opcode) for one in self.code if one.predicate not in predicates)
        return Accesses(**{name: n for name, n in count.items() if name})


def access_of(opcode):
    """Returns the field of Accesses that an instruction belongs to, or None if it is not a global access."""
    parts = opcode.split(".")
    if parts[0] not in ("LDG", "STG"):
        return None
    width = "16" if "128" in parts else "8" if "64" in parts else "_narrow"
    return ("loads" if parts[0] == "LDG" else "stores") + width


def parse(text):
    """Returns the basic blocks of each kernel, by symbol, in the order of the code."""
    kernels = {}
    for section in re.split(r"\n//-+ \.text\.", text)[1:]:
        symbol = section.split(maxsplit=1)[0]
        kernels[symbol] = connect(list(blocks_of(section)))
    return kernels


def blocks_of(section):
    block, file = Block("entry"), ""
    for line in section.splitlines():
        if line.lstrip().startswith("//## File"):
            file = line.split('"')[1]
        elif found := re.match(r"(\.L_x_\d+|\$\S+):", line):
            yield block
            block = Block(found.group(1))
        elif found := INSTRUCTION.match(line):
            one = Instruction(found.group(2) or "", found.group(3), found.group(4).strip(), file)
            block.code.append(one)
            if one.name in ENDS:
                yield block
                block = Block("")
    yield block


def connect(blocks):
    """Links each basic block to those that can follow it.

    BSYNC continues where its BSSY says, which is the instruction after the BSYNC."""
    labels = {block.label: block for block in blocks if block.label}
    for block, after in zip(blocks, blocks[1:] + [None]):
        last = block.code[-1] if block.code else None
        if last is None or last.name not in ENDS:
            block.next = [after] if after else []
            continue
        target = LABEL.search(last.operands)
        if last.name == "BRA" and target:
            block.next.append(labels[target.group(1)])
        conditional = last.predicate or (last.name == "BRA" and last.operands.split(",")[0] != target.group(0))
        if conditional and after and after not in block.next:
            block.next.append(after)
    return blocks


def loops_of(blocks):
    """Yields the innermost loops: the header, and all blocks from which the header is reached again."""
    loops = {}
    for source, header in back_edges(blocks[0]):
        loops.setdefault(header, {header}).update(reaching(blocks, source, header))
    for header, body in loops.items():
        if not any(other in body for other in loops if other is not header):
            yield header, body


def back_edges(entry):
    """Returns the edges to a block that the depth-first search is still visiting."""
    state, stack, found = {entry: "open"}, [(entry, iter(entry.next))], []
    while stack:
        block, rest = stack[-1]
        following = next(rest, None)
        if following is None:
            state[block] = "done"
            stack.pop()
        elif following not in state:
            state[following] = "open"
            stack.append((following, iter(following.next)))
        elif state[following] == "open":
            found.append((block, following))
    return found


def reaching(blocks, source, header):
    """Returns all blocks from which `source` is reached without passing the header."""
    before = collections.defaultdict(list)
    for block in blocks:
        for following in block.next:
            before[following].append(block)
    body, waiting = {source}, [source]
    while waiting:
        block = waiting.pop()
        if block is header:
            continue
        for previous in before[block]:
            if previous not in body:
                body.add(previous)
                waiting.append(previous)
    return body


def moves_parameters(body):
    return any(one.file.endswith(AROUND) for block in body for one in block.code)


@dataclasses.dataclass(frozen=True)
class Turn:
    """The shortest of all turns of a loop that move the same data."""
    length: int  # instructions; those that a predicate turns off are issued too
    half_rate: int  # number of these that run at half rate
    accesses: Accesses
    drawing: int = 0  # number of instructions in blocks that draw random words
    drawing_half_rate: int = 0

    @property
    def draws(self):
        return self.drawing > 0

    def and_then(self, block):
        """Yields this turn, extended by each way through the block that follows."""
        drawing, half_rate = (len(block.code), block.half_rate) if block.draws else (0, 0)
        for accesses in block.ways:
            yield Turn(self.length + len(block.code), self.half_rate + block.half_rate, self.accesses + accesses,
                       self.drawing + drawing, self.drawing_half_rate + half_rate)

    @property
    def moves(self):
        """The key that distinguishes turns. MANY or more narrow accesses are a cut tile: their number is irrelevant."""
        narrow = [min(count, MANY) for count in (self.accesses.loads_narrow, self.accesses.stores_narrow)]
        return self.accesses.bytes_loaded, self.accesses.bytes_stored, *narrow, self.draws


def turns_of(header, body):
    """Returns the shortest turn of a loop for each value of Turn.moves, without slow paths."""
    reached = collections.defaultdict(dict)
    for turn in Turn(0, 0, Accesses()).and_then(header):
        keep(reached[header], turn)
    turns = {}
    for block in in_order(header, body):
        if header in block.next:
            for turn in reached[block].values():
                keep(turns, turn)
        for following in block.next:
            if following is not header and following in body and not following.is_slow_path:
                for turn in reached[block].values():
                    for longer in turn.and_then(following):
                        keep(reached[following], longer)
    return list(turns.values())


def keep(best, turn):
    if turn.moves not in best or turn.length < best[turn.moves].length:
        best[turn.moves] = turn


def in_order(header, body):
    """Returns the blocks of a loop in topological order."""
    done, order = {header}, []
    stack = [(header, iter(header.next))]
    while stack:
        block, rest = stack[-1]
        following = next((one for one in rest if one in body and one not in done), None)
        if following is None:
            order.append(block)
            stack.pop()
        else:
            done.add(following)
            stack.append((following, iter(following.next)))
    return reversed(order)
