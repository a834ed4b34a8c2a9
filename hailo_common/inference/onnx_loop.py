"""Attention in a graph, rewritten as a loop over blocks of queries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from hailo_common.inference.onnx_file import (
    BOOL,
    FLOAT,
    INT64,
    Node,
    OnnxFile,
    graph_attribute,
    number_attribute,
    scalar_value,
    sequence_value,
)

QUERIES = 128
"""Most rows of scores that are in memory at once."""
_ROW_WISE = {
    *("Add", "Sub", "Mul", "Div", "Neg", "Cast", "Where", "Equal", "Greater", "Less", "And", "Or", "Not"),
}
_FLOATS = (FLOAT, 10, 16)  # and those of 16 bits


class QueryLoop:
    """The attention around one Softmax: scores of queries and keys, their shares, values mixed by these."""

    def __init__(self, file: OnnxFile, softmax: Node, name: str) -> None:
        self._file = file
        self._softmax = softmax
        self._name = name
        self._makers = {output: node for node in file.nodes for output in node.outputs}
        self._readers: dict[str, list[Node]] = {output: [] for output in file.outputs}
        for node in file.nodes:
            for each in node.reads:
                self._readers.setdefault(each, []).append(node)
        self._body: list[Node] = []
        self._rows: dict[str, str | None] = {}
        self._ranks: dict[str, int] = {}
        self._cut: list[str] = []
        self._scores: Node | None = None

    def put(self) -> None:
        """Put the loop in place of the attention, if it is one."""
        after = self._after()
        rows = self._rows_of(self._softmax.inputs[0]) if after else None
        if rows is None or self._scores is None:
            return
        at = self._file.nodes.index(after[-1])
        inner = rows
        for node in (self._softmax, *after):
            inner = self._add(node, [inner, *node.inputs[1:]])
        self._file.nodes[at : at + 1] = self._loop(inner, after[-1])

    def _after(self) -> list[Node]:
        """From the Softmax to the MatMul that mixes values; empty where something else comes of it."""
        name, nodes = self._softmax.outputs[0], list[Node]()
        while (node := self._only_reader(name)) is not None and node.inputs[0] == name and not node.domain:
            nodes.append(node)
            if node.op == "MatMul":
                return nodes
            if node.op not in ("Cast", "Identity"):
                break
            name = node.outputs[0]
        return []

    def _only_reader(self, name: str) -> Node | None:
        readers = self._readers.get(name, [])
        return readers[0] if len(readers) == 1 and name not in self._file.outputs else None

    def _inner(self, name: str) -> str:
        return f"{self._name}/{name}"

    def _rows_of(self, name: str) -> str | None:
        """The block's rows of a tensor, by their name in the loop; None where that cannot be told."""
        if name not in self._rows:
            self._rows[name] = None
            self._rows[name] = self._made_rows(name) or (
                self._cut_rows(name) if self._rank(name) > 1 else None
            )
        return self._rows[name]

    def _made_rows(self, name: str) -> str | None:
        """The rows of what the loop computes by itself, or of what is the same for all rows."""
        weight, node = self._file.weights.get(name), self._makers.get(name)
        if weight is not None and (len(weight.dims) < 2 or weight.dims[-2] == 1):
            return name
        if node is None or node.domain:
            return None
        if node.op == "Constant" and (tensor := node.tensor("value")) is not None and len(tensor.dims) < 2:
            return name
        if node.op == "MatMul" and self._scores is None and self._only_reader(name) is not None:
            return self._score_rows(node)
        if node.op not in _ROW_WISE:
            return None
        inputs = [self._rows_of(each) for each in node.inputs]
        return self._add(node, [each for each in inputs if each is not None]) if None not in inputs else None

    def _score_rows(self, node: Node) -> str | None:
        if self._rank(node.inputs[0]) < 2 or self._rank(node.inputs[1]) < 2:
            return None
        self._scores = node
        return self._add(node, [self._cut_rows(node.inputs[0]), node.inputs[1]])

    def _add(self, node: Node, inputs: Sequence[str]) -> str:
        made = self._inner(f"rows/{node.outputs[0]}")
        self._body.append(replace(node, inputs=inputs, outputs=[made], name=made))
        return made

    def _cut_rows(self, name: str) -> str:
        """Cut the block's rows out of a tensor of two axes or more; one row stands for all."""
        number = len(self._cut)
        self._cut.append(name)
        start, stop, made = (self._inner(f"{part}{number}") for part in ("start", "stop", "cut"))
        several = self._inner(f"several{number}")
        self._body += [
            Node("Mul", [self._inner("start"), several], [start]),
            Node("Add", [start, self._inner("size")], [stop]),
            Node("Slice", [name, start, stop, self._file.constant(-2)], [made]),
        ]
        return made

    def _rank(self, name: str) -> int:
        """How many axes a tensor has at least."""
        if name not in self._ranks:
            self._ranks[name] = 0
            self._ranks[name] = self._known_rank(name)
        return self._ranks[name]

    def _known_rank(self, name: str) -> int:
        weight, node = self._file.weights.get(name), self._makers.get(name)
        known = len(weight.dims) if weight is not None else self._file.ranks.get(name, 0)
        if known or node is None:
            return known
        inputs = [self._rank(each) for each in node.inputs]
        if node.op in ("Range", "Transpose"):
            return len(node.integers("perm")) or 1
        if node.op == "Reshape":
            return len(self._numbers(node.inputs[1]))
        if node.op == "Unsqueeze":
            return inputs[0] + len(self._numbers(node.inputs[1]))
        return max(inputs) if node.op in _ROW_WISE | {"MatMul", "Softmax", "Identity"} else 0

    def _numbers(self, name: str) -> list[int]:
        weight, node = self._file.weights.get(name), self._makers.get(name)
        if weight is not None:
            return weight.whole_numbers()
        tensor = node.tensor("value") if node is not None and node.op == "Constant" else None
        return tensor.whole_numbers() if tensor is not None else []

    def _loop(self, mixed: str, mixing: Node) -> list[Node]:
        """The nodes in place of `mixing`: sizes of blocks, the loop, its results below each other."""
        name, kind = self._inner, self._kind(mixing.inputs[1])
        number, going, before, after, none = (
            name(part) for part in ("number", "going", "before", "after", "none")
        )
        body = [
            Node("Mul", [number, name("size")], [name("start")]),
            *self._body,
            Node("SequenceInsert", [before, mixed], [after]),
            Node("Identity", [going], [name("go")]),
        ]
        rows = sequence_value(before, kind)
        inputs = [scalar_value(number, INT64), scalar_value(going, BOOL), rows]
        outputs = [scalar_value(name("go"), BOOL), sequence_value(after, kind)]
        inside = graph_attribute("body", body, inputs, outputs)
        return [
            *self._sizes(),
            Node("SequenceEmpty", [], [none], number_attribute("dtype", kind)),
            Node("Loop", [name("trips"), "", none], [name("blocks")], inside, name=name("loop")),
            Node("ConcatFromSequence", [name("blocks")], mixing.outputs, number_attribute("axis", -2)),
        ]

    def _kind(self, name: str) -> int:
        """The type of a tensor's numbers: what a cast says, or whatever number it is made of."""
        waiting, seen = [name], set[str]()
        while waiting:
            name = waiting.pop()
            weight, node = self._file.weights.get(name), self._makers.get(name)
            kind = weight.kind if weight is not None else self._file.kinds.get(name, 0)
            if node is not None and node.op == "Cast":
                kind = node.integer("to") or 0
            if kind in _FLOATS:
                return kind
            if node is not None and name not in seen:
                waiting += node.inputs
            seen.add(name)
        return FLOAT

    def _sizes(self) -> list[Node]:
        """How many blocks, of how many rows: all of nearly one size. Whether a tensor has several rows."""
        name, one = self._inner, self._file.constant(1)
        nodes = []
        for number, cut in enumerate(self._cut):
            shape, rows, more = (name(f"{part}{number}") for part in ("shape", "rows", "more"))
            bounds = [self._file.constant(-2), self._file.constant(-1)]
            nodes += [
                Node("Shape", [cut], [shape]),
                Node("Slice", [shape, *bounds], [rows]),
                Node("Sub", [rows, one], [more]),
                Node("Min", [more, one], [name(f"several{number}")]),
            ]
        most = self._file.constant(QUERIES)
        return [
            *nodes,
            Node("Max", [name(f"rows{number}") for number in range(len(self._cut))], [name("all")]),
            *_rounded_up(name("all"), most, one, name("trips")),
            *_rounded_up(name("all"), name("trips"), one, name("size")),
        ]


def _rounded_up(amount: str, by: str, one: str, made: str) -> list[Node]:
    """`made` = `amount` / `by`, rounded up to whole numbers."""
    sum_, less = f"{made}/sum", f"{made}/less"
    return [
        Node("Add", [amount, by], [sum_]),
        Node("Sub", [sum_, one], [less]),
        Node("Div", [less, by], [made]),
    ]
