"""ONNX files byte by byte, for what no exporter writes. Field numbers are those of `onnx.proto`."""

from __future__ import annotations

from collections.abc import Mapping

FLOAT = 1
_EXTERNAL = 1


def field(number: int, value: bytes | int | str) -> bytes:
    """One field of a message: a number as a varint, all else as bytes."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def varint(value: int) -> bytes:
    """A number as protobuf writes it."""
    out = b""
    while value > 0x7F:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def weights(location: str | bytes, count: int, **more: str) -> bytes:
    """A `TensorProto` named w of `count` floats in another file."""
    entries: Mapping[str, str | bytes] = {"location": location, **more}
    external = b"".join(field(13, field(1, key) + field(2, text)) for key, text in entries.items())
    return field(1, count) + field(2, FLOAT) + field(8, "w") + external + field(14, _EXTERNAL)


def inline(count: int) -> bytes:
    """A `TensorProto` named w of `count` zeros."""
    return field(1, count) + field(2, FLOAT) + field(8, "w") + field(9, bytes(4 * count))


def node(
    kind: str, inputs: tuple[str, ...], outputs: tuple[str, ...], *, domain: str = "", more: bytes = b""
) -> bytes:
    """A `NodeProto`; `more` are its attributes."""
    names = b"".join(field(1, name) for name in inputs) + b"".join(field(2, name) for name in outputs)
    return names + field(4, kind) + (field(7, domain) if domain else b"") + more


def attribute(name: str, *, tensor: bytes = b"", graph: bytes = b"") -> bytes:
    """An `AttributeProto` that holds a tensor or a graph, as a field of a node."""
    value = field(5, tensor) + field(20, 4) if tensor else field(6, graph) + field(20, 5)
    return field(5, field(1, name) + value)


def value_info(name: str, count: int) -> bytes:
    """A `ValueInfoProto` of so many floats."""
    shape = field(2, field(1, field(1, count)))
    return field(1, name) + field(2, field(1, field(1, FLOAT) + shape))


def graph(*nodes: bytes, initializers: tuple[bytes, ...] = (), output: str = "y", count: int = 1) -> bytes:
    """A `GraphProto` with one output."""
    parts = [field(1, each) for each in nodes] + [field(2, "g")] + [field(5, each) for each in initializers]
    return b"".join(parts) + field(12, value_info(output, count))


def model(inner: bytes, *, more: bytes = b"") -> bytes:
    """A `ModelProto` of operator set 17 around a graph."""
    return field(1, 8) + field(7, inner) + field(8, field(1, "") + field(2, 17)) + more
