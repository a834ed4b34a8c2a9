"""Loads the installed hailo-llama, generates with a tiny random model, and looks at what the process may do.

Run by smoke-llama.sh in a Debian 13 with the packages; needs Python's own library only. Arguments: a folder
for the model, and the kernels that must have been chosen (a regular expression).
"""

from __future__ import annotations

import ctypes
import importlib
import math
import mmap
import random
import re
import resource
import struct
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN = 65, 1
WIDTH, LAYERS, HEADS, KEY_HEADS, INNER, CONTEXT = 256, 2, 8, 4, 512, 128
F32, Q4_0 = 0, 2
ERROR = 4
TEXT = "Which kernels are these?"
NEW_TOKENS = 16


def refuse_executable_memory() -> bool:
    """Ask the kernel for what MemoryDenyWriteExecute= means; False where kernel or emulator lack it."""
    if ctypes.CDLL(None).prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0) != 0:
        return False
    try:
        mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    except PermissionError:
        return True
    sys.exit("The kernel took the order and still gives memory that is writable and executable")


def text(value: str) -> bytes:
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def field(name: str, kind: int, data: bytes) -> bytes:
    return text(name) + struct.pack("<I", kind) + data


def number(name: str, value: int) -> bytes:
    return field(name, 4, struct.pack("<I", value))


def array(name: str, kind: int, items: list[bytes]) -> bytes:
    return field(name, 9, struct.pack("<IQ", kind, len(items)) + b"".join(items))


def model() -> bytes:
    """A GGUF file of the architecture llama, weights in Q4_0, which the dot products are made for."""
    dice = random.Random(4)
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    kinds = [2, 3, 3, *[6] * 256]
    fields = [
        field("general.architecture", 8, text("llama")),
        number("llama.context_length", CONTEXT),
        number("llama.embedding_length", WIDTH),
        number("llama.block_count", LAYERS),
        number("llama.feed_forward_length", INNER),
        number("llama.attention.head_count", HEADS),
        number("llama.attention.head_count_kv", KEY_HEADS),
        number("llama.rope.dimension_count", WIDTH // HEADS),
        field("llama.attention.layer_norm_rms_epsilon", 6, struct.pack("<f", 1e-5)),
        field("tokenizer.ggml.model", 8, text("llama")),
        array("tokenizer.ggml.tokens", 8, [text(token) for token in tokens]),
        array("tokenizer.ggml.scores", 6, [struct.pack("<f", 0)] * len(tokens)),
        array("tokenizer.ggml.token_type", 5, [struct.pack("<i", kind) for kind in kinds]),
        number("tokenizer.ggml.unknown_token_id", 0),
        number("tokenizer.ggml.bos_token_id", 1),
        number("tokenizer.ggml.eos_token_id", 2),
    ]
    shapes = [("token_embd", WIDTH, len(tokens)), ("output", WIDTH, len(tokens)), ("output_norm", WIDTH, 0)]
    keys = WIDTH // HEADS * KEY_HEADS
    for layer in range(LAYERS):
        shapes += [
            (f"blk.{layer}.{name}", rows, columns)
            for name, rows, columns in (
                ("attn_norm", WIDTH, 0),
                ("attn_q", WIDTH, WIDTH),
                ("attn_k", WIDTH, keys),
                ("attn_v", WIDTH, keys),
                ("attn_output", WIDTH, WIDTH),
                ("ffn_norm", WIDTH, 0),
                ("ffn_gate", WIDTH, INNER),
                ("ffn_up", WIDTH, INNER),
                ("ffn_down", INNER, WIDTH),
            )
        ]
    listing, data = b"", b""
    for name, rows, columns in shapes:
        sizes, kind = ([rows, columns], Q4_0) if columns else ([rows], F32)
        listing += text(f"{name}.weight") + struct.pack(
            f"<I{len(sizes)}QIQ", len(sizes), *sizes, kind, len(data)
        )
        if columns:
            scale = struct.pack("<e", 0.02)
            data += b"".join(scale + dice.randbytes(16) for _ in range(rows * columns // 32))
        else:
            data += struct.pack("<f", 1) * rows
        data += bytes(-len(data) % 32)
    head = b"GGUF" + struct.pack("<IQQ", 3, len(shapes), len(fields)) + b"".join(fields) + listing
    return head + bytes(-len(head) % 32) + data


def only_errors(level: int, line: bytes, _data: object) -> None:
    """A callback from the library, which is also code that is made at run time."""
    if level == ERROR:
        sys.stderr.write(line.decode(errors="replace"))


def tokens_of(llama: ModuleType, vocabulary: int) -> Sequence[int]:
    """TEXT in the vocabulary of bytes: <s>, the space before a text (three bytes), and its bytes."""
    room = (llama.llama_token * 64)()
    count = llama.llama_tokenize(vocabulary, TEXT.encode(), len(TEXT), room, len(room), True, False)
    expected = [1, *(3 + byte for byte in f" {TEXT}".replace(" ", "\u2581").encode())]
    if list(room)[: max(count, 0)] != expected:
        sys.exit(f"Wrong tokens: {count} {list(room)}")
    tokens: Sequence[int] = (llama.llama_token * count)(*expected)
    return tokens


def generate(llama: ModuleType, path: Path) -> list[int]:
    """The greedy tokens after TEXT."""
    model = llama.llama_model_load_from_file(str(path).encode(), llama.llama_model_default_params())
    if not model:
        sys.exit("The model was not loaded")
    vocabulary = llama.llama_model_get_vocab(model)
    settings = llama.llama_context_default_params()
    settings.n_ctx, settings.n_batch, settings.n_threads, settings.n_threads_batch = CONTEXT, 64, 2, 2
    context = llama.llama_init_from_model(model, settings)
    if not context:
        sys.exit("No context was made")
    made: list[int] = []
    new = tokens_of(llama, vocabulary)
    for _ in range(NEW_TOKENS):
        if llama.llama_decode(context, llama.llama_batch_get_one(new, len(new))) != 0:
            sys.exit("A step failed")
        logits = llama.llama_get_logits_ith(context, -1)[: llama.llama_vocab_n_tokens(vocabulary)]
        if not all(map(math.isfinite, logits)):
            sys.exit("A logit is not finite")
        made.append(max(range(len(logits)), key=logits.__getitem__))
        new = (llama.llama_token * 1)(made[-1])
    llama.llama_free(context)
    llama.llama_model_free(model)
    return made


def writable_and_executable() -> set[str]:
    """Such memory of this process."""
    maps = Path("/proc/self/maps").read_text(encoding="utf-8")
    return {line for line in maps.splitlines() if re.match(r"\S+ .wx", line)}


def sockets() -> list[str]:
    links = [link for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
    return [str(link.readlink()) for link in links if str(link.readlink()).startswith("socket:")]


def main() -> None:
    path, wanted = Path(sys.argv[1], "tiny.gguf"), sys.argv[2]
    refused = refuse_executable_memory()
    path.write_bytes(model())
    llama = importlib.import_module("hailo_llama.llama_cpp")
    mtmd = importlib.import_module("hailo_llama.mtmd_cpp")
    if refused:  # In emulation libffi takes a page that is writable and executable for callbacks.
        said = llama.llama_log_callback(only_errors)
        llama.llama_log_set(said, None)
    llama.llama_backend_init()
    first, again = generate(llama, path), generate(llama, path)
    if first != again or len(set(first)) < 2:
        sys.exit(f"Not the same twice, or nothing at all: {first} {again}")
    if mtmd.mtmd_default_marker() != b"<__media__>":
        sys.exit("libmtmd does not answer")
    if writable_and_executable():
        sys.exit(f"Memory that is writable and executable: {writable_and_executable()}")
    if sockets():
        sys.exit(f"It has sockets: {sockets()}")
    maps = Path("/proc/self/maps").read_text(encoding="utf-8")
    kernels = sorted(set(re.findall(r"libggml-cpu-(\S+)\.so", maps)))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(
        f"kernels {' '.join(kernels)}; {len(first)} tokens {first[:4]}...; peak {peak} MB; no socket; "
        f"no memory writable and executable{', which the kernel would have refused' if refused else ''}"
    )
    if len(kernels) != 1 or not re.fullmatch(wanted, kernels[0]):
        sys.exit(f"These kernels were wanted: {wanted}")


main()
