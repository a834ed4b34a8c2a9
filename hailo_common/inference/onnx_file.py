"""An ONNX file whose graph is changed on its way into ONNX Runtime; the file stays as it is.

Only the graph is rewritten. Weights stay in the file, to which the new graph points as to one of external
data: ONNX Runtime maps them instead of copying a gigabyte through the heap.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from hailo_common.inference.onnx_wire import BYTES, Field, integer, integers, message, read, text, write

# Fields of ModelProto, GraphProto, NodeProto, AttributeProto, TensorProto, ValueInfoProto
_GRAPH, _OPSET = 7, 8
_NODE, _INITIALIZER, _INPUT, _OUTPUT, _VALUE = 1, 5, 11, 12, 13
_NODE_INPUT, _NODE_OUTPUT, _NODE_NAME, _OP, _ATTRIBUTE, _DOMAIN = 1, 2, 3, 4, 5, 7
_NAME, _INT, _TENSOR, _SUBGRAPH, _INTS, _ATTRIBUTE_TYPE = 1, 3, 5, 6, 8, 20
_DIMS, _DATA_TYPE, _INT64_DATA, _TENSOR_NAME, _RAW, _EXTERNAL, _LOCATION = 1, 2, 7, 8, 9, 13, 14
_TYPE, _TENSOR_TYPE, _SEQUENCE_TYPE = 2, 1, 4
FLOAT, INT64, BOOL = 1, 7, 9
_ITEM_BYTES = {FLOAT: 4, 2: 1, 3: 1, 5: 2, 6: 4, INT64: 8, BOOL: 1, 10: 2, 11: 8, 16: 2, 21: 1, 22: 1}
_LEAST = 1 << 16  # bytes of a weight worth pointing to


@dataclass(frozen=True, eq=False)
class Node:
    """One operation; `attributes` are AttributeProto messages by name."""

    op: str
    inputs: Sequence[str]
    outputs: Sequence[str]
    attributes: dict[str, bytes | memoryview] = field(default_factory=dict)
    domain: str = ""
    name: str = ""

    @cached_property
    def reads(self) -> set[str]:
        """What it needs: its inputs, and what graphs inside it take from outside."""
        return set(self.inputs).union(*(_read_inside(content) for content in self.attributes.values()))

    def integer(self, name: str, default: int | None = None) -> int | None:
        """The value of an attribute that is a number."""
        return next((found.integer for found in self._attribute(name) if found.number == _INT), default)

    def integers(self, name: str) -> list[int]:
        """The values of an attribute that is a list of numbers."""
        return integers(self._attribute(name), _INTS)

    def tensor(self, name: str) -> Tensor | None:
        """An attribute that is a tensor."""
        tensors = [found.content for found in self._attribute(name) if found.number == _TENSOR]
        return Tensor(tensors[0]) if tensors else None

    def field(self) -> Field:
        """The node as a field of its graph."""
        parts = [text(_NODE_INPUT, name) for name in self.inputs]
        parts += [text(_NODE_OUTPUT, name) for name in self.outputs]
        parts += [text(_NODE_NAME, self.name), text(_OP, self.op), text(_DOMAIN, self.domain)]
        parts += [Field(_ATTRIBUTE, BYTES, content) for content in self.attributes.values()]
        return message(_NODE, *parts)

    def _attribute(self, name: str) -> Iterator[Field]:
        return read(memoryview(self.attributes.get(name, b"")))


def _node(data: memoryview) -> Node:
    texts: dict[int, list[str]] = {_NODE_INPUT: [], _NODE_OUTPUT: [], _NODE_NAME: [], _OP: [], _DOMAIN: []}
    attributes: dict[str, bytes | memoryview] = {}
    for found in read(data):
        if found.number == _ATTRIBUTE:
            named = next(part.text for part in read(found.content) if part.number == _NAME)
            attributes[named] = found.content
        elif found.number in texts:
            texts[found.number].append(found.text)
    one = {number: (values or [""])[-1] for number, values in texts.items()}
    return Node(one[_OP], texts[_NODE_INPUT], texts[_NODE_OUTPUT], attributes, one[_DOMAIN], one[_NODE_NAME])


def _read_inside(attribute: bytes | memoryview) -> Iterator[str]:
    """What the nodes of an attribute that is a graph read."""
    for found in read(memoryview(attribute)):
        for part in read(found.content) if found.number == _SUBGRAPH else ():
            if part.number == _NODE:
                yield from _node(part.content).reads
            elif part.number == _OUTPUT:
                yield _name(part)


def number_attribute(name: str, value: int) -> dict[str, bytes | memoryview]:
    """An attribute that is a number, by its name."""
    return {name: write([text(_NAME, name), integer(_INT, value), integer(_ATTRIBUTE_TYPE, 2)])}


def graph_attribute(
    name: str, nodes: Iterable[Node], inputs: Sequence[Field], outputs: Sequence[Field]
) -> dict[str, bytes | memoryview]:
    """An attribute that is a graph, by its name; `inputs` and `outputs` are `tensor_value` and the like."""
    parts = [node.field() for node in nodes] + [text(2, name)]
    parts += [value._replace(number=_INPUT) for value in inputs]
    parts += [value._replace(number=_OUTPUT) for value in outputs]
    content = [text(_NAME, name), message(_SUBGRAPH, *parts), integer(_ATTRIBUTE_TYPE, 5)]
    return {name: write(content)}


def tensor_value(name: str, kind: int) -> Field:
    """Declares a tensor of any shape."""
    return message(_VALUE, text(_NAME, name), message(_TYPE, message(_TENSOR_TYPE, integer(1, kind))))


def scalar_value(name: str, kind: int) -> Field:
    """Declares one number."""
    tensor = message(_TENSOR_TYPE, integer(1, kind), message(2))
    return message(_VALUE, text(_NAME, name), message(_TYPE, tensor))


def sequence_value(name: str, kind: int) -> Field:
    """Declares a sequence of tensors of any shape."""
    item = message(1, message(_TENSOR_TYPE, integer(1, kind)))
    return message(_VALUE, text(_NAME, name), message(_TYPE, message(_SEQUENCE_TYPE, item)))


class Tensor:
    """One weight or constant, as far as it is looked at here."""

    def __init__(self, data: memoryview, base: int = 0) -> None:
        self.fields = list(read(data, base))
        self.name = next((found.text for found in self.fields if found.number == _TENSOR_NAME), "")
        self.kind = next((found.integer for found in self.fields if found.number == _DATA_TYPE), 0)
        self.dims = integers(self.fields, _DIMS)
        self.outside = any(found.number == _LOCATION and found.integer for found in self.fields)

    def whole_numbers(self) -> list[int]:
        """The values of a small tensor of int64; none of any other."""
        if self.kind != INT64 or self.outside:
            return []
        raw = b"".join(bytes(found.content) for found in self.fields if found.number == _RAW)
        values = [int.from_bytes(raw[at : at + 8], "little", signed=True) for at in range(0, len(raw), 8)]
        return values or integers(self.fields, _INT64_DATA)

    def field(self, file: str) -> Field:
        """As a field of its graph; a large one is not copied but points into `file`, unless that is empty.

        One that does not begin at a multiple of its numbers' size is copied: not every kernel reads such.
        """
        raw = next((found for found in self.fields if found.number == _RAW), None)
        if not file or raw is None or len(raw.content) < _LEAST or raw.start % _ITEM_BYTES.get(self.kind, 64):
            return message(_INITIALIZER, *self.fields)
        place = {"location": file, "offset": str(raw.start), "length": str(len(raw.content))}
        entries = [message(_EXTERNAL, text(1, key), text(2, value)) for key, value in place.items()]
        kept = [found for found in self.fields if found.number != _RAW]
        return message(_INITIALIZER, *kept, *entries, integer(_LOCATION, 1))


class OnnxFile:
    """A file's graph: `nodes` may be changed, `weights` looked at, `to_bytes` makes a model of them."""

    def __init__(self, path: Path) -> None:
        """Raises OSError, or ValueError for what is no ONNX model."""
        with path.open("rb") as file:
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self._model = list(read(memoryview(self._map)))
        graph = next((found for found in self._model if found.number == _GRAPH), None)
        if graph is None:
            raise ValueError("no graph")
        self._graph = list(read(graph.content, graph.start))
        self.nodes = [_node(found.content) for found in self._graph if found.number == _NODE]
        weights = [found for found in self._graph if found.number == _INITIALIZER]
        tensors = [Tensor(found.content, found.start) for found in weights]
        self.weights = {tensor.name: tensor for tensor in tensors}
        declared = [found for found in self._graph if found.number in (_INPUT, _OUTPUT, _VALUE)]
        self.ranks = {_name(found): _rank(found) for found in declared}
        self.kinds = {_name(found): _kind(found) for found in declared}
        self.outputs = [_name(found) for found in self._graph if found.number == _OUTPUT]
        # Links are followed here: a library that is careful does not follow them out of the folder.
        self.path = path if any(tensor.outside for tensor in tensors) else path.resolve()

    @property
    def opset(self) -> int:
        """The version of ONNX's own operators."""
        sets = [list(read(found.content)) for found in self._model if found.number == _OPSET]
        own = [fields for fields in sets if not any(part.number == 1 and part.content for part in fields)]
        return max((part.integer for fields in own for part in fields if part.number == 2), default=0)

    def constant(self, value: int) -> str:
        """The name of a tensor that holds one whole number, shape (1,)."""
        name = f"number/{value}"
        parts = [integer(_DIMS, 1), integer(_DATA_TYPE, INT64), integer(_INT64_DATA, value)]
        self.weights[name] = Tensor(memoryview(write([*parts, text(_TENSOR_NAME, name)])))
        return name

    def free_shape(self, output: str) -> None:
        """Forget what shape the graph declares for an output."""
        self._graph = [
            tensor_value(output, self.kinds[output])._replace(number=_OUTPUT)
            if found.number == _OUTPUT and _name(found) == output
            else found
            for found in self._graph
        ]

    def drop_unread(self) -> None:
        """Leave out nodes and weights of which nothing comes."""
        wanted, kept = set(self.outputs), []
        for node in reversed(self.nodes):
            if wanted.intersection(node.outputs):
                kept.append(node)
                wanted.update(node.reads)
        self.nodes = kept[::-1]
        self.weights = {name: tensor for name, tensor in self.weights.items() if name in wanted}

    def to_bytes(self, *, whole: bool = False) -> bytes:
        """The model; its weights are found in the folder of `path`, or with `whole` where they were."""
        kept = [found for found in self._graph if found.number not in (_NODE, _INITIALIZER)]
        weights = [tensor.field("" if whole else self.path.name) for tensor in self.weights.values()]
        graph = message(_GRAPH, *(node.field() for node in self.nodes), *weights, *kept)
        return write(graph if found.number == _GRAPH else found for found in self._model)


def _inside(value: Field, *numbers: int) -> list[Field]:
    """The fields at a path of field numbers."""
    found = [value]
    for number in numbers:
        found = [part for each in found for part in read(each.content) if part.number == number]
    return found


def _name(value: Field) -> str:
    return next((found.text for found in _inside(value, _NAME)), "")


def _rank(value: Field) -> int:
    """How many axes a declared tensor has; 0 where it does not say."""
    return len(_inside(value, _TYPE, _TENSOR_TYPE, 2, 1))


def _kind(value: Field) -> int:
    """The type of a declared tensor's numbers; 0 where it does not say."""
    return sum(found.integer for found in _inside(value, _TYPE, _TENSOR_TYPE, 1))
