"""Search for what cannot be found, and print by how much the process grew: search_growth.py TASK MB."""

import json
import random
import re
import sys
from pathlib import Path

import psutil

from hypotheses.search import search
from hypotheses.task import Example, Task, infer_signature
from induce.tasks.sygus import parse_sygus

TEXT_GRAMMAR = """((S String (x " " "," "." (str.++ S S) (str.replace S S S) (str.at S I) (str.substr S I I)
    (ite B S S) (str.from_int I)))
  (I Int (0 1 2 (+ I I) (- I I) (str.len S) (str.indexof S S I)))
  (B Bool ((str.prefixof S S) (str.contains S S))))"""
BIT_GRAMMAR = """((B (_ BitVec 64) (x #x0000000000000000 #x0000000000000001 (bvnot B) (bvshl B B) (bvlshr B B)
    (bvand B B) (bvor B B) (bvxor B B) (bvadd B B) (bvmul B B))))"""

RANDOM = random.Random(7)


def text(length):
    return "".join(RANDOM.choices("abcdefgh XYZ,.-0123", k=length))


def numbers(count):
    return RANDOM.choices(range(99), k=count)


def bits():
    return RANDOM.getrandbits(64)


def of_values(make, count):
    examples = tuple(Example(*make()) for _ in range(count))
    return Task("t", examples, (), infer_signature(examples, "single"))


def in_grammar(grammar, sort, write, make, count):
    pairs = [make() for _ in range(count)]
    constraints = [f"(constraint (= (f {write(x)}) {write(y)}))" for x, y in pairs]
    return parse_sygus(f"(synth-fun f ((x {sort})) {sort} {grammar}) {' '.join(constraints)}", "t")


def quoted(value):
    return f'"{value}"'


def hexadecimal(value):
    return f"#x{value:016x}"


TASKS = {
    "long texts": lambda: of_values(lambda: (text(150), text(60)), 4),
    "short texts": lambda: of_values(lambda: (text(12), text(8)), 40),
    "lists": lambda: of_values(lambda: (numbers(8), numbers(6)), 4),
    "many lists": lambda: of_values(lambda: (numbers(12), numbers(6)), 60),
    "long texts in a grammar": lambda: in_grammar(
        TEXT_GRAMMAR, "String", quoted, lambda: (text(200), text(200)), 12
    ),
    "short texts in a grammar": lambda: in_grammar(
        TEXT_GRAMMAR, "String", quoted, lambda: (text(14), text(8)), 200
    ),
    "bit-vectors": lambda: in_grammar(BIT_GRAMMAR, "(_ BitVec 64)", hexadecimal, lambda: (bits(), bits()), 5),
    "many bit-vectors": lambda: in_grammar(
        BIT_GRAMMAR, "(_ BitVec 64)", hexadecimal, lambda: (bits(), bits()), 1000
    ),
}


def main():
    task = TASKS[sys.argv[1]]()
    before = psutil.Process().memory_info().rss
    report = search(task, seconds=None, memory_mb=int(sys.argv[2])).report
    grown = (peak() - before) / 2**20
    print(json.dumps({"reason": report.reason, "terms": report.terms, "grown_mb": grown}))


def peak():
    """The most bytes that were ever resident; what ``getrusage`` says begins with the parent's."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return 1024 * int(re.search(r"VmHWM:\s+(\d+) kB", status)[1])


if __name__ == "__main__":
    main()
