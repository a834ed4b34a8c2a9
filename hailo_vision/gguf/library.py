"""llama.cpp as a library: what is used of it, declared. The only module that opens libllama and libmtmd.

Layouts and signatures are those of versions 0.5 (the Debian package) and 0.6 (the wheel `xllamacpp`), of
`include/llama.h` and `tools/mtmd/mtmd.h`. They change between versions, so one that is another, or whose
defaults are not those of its layout, is refused. `docs/decisions/cpu-engine.md` says why it is called and not
its server.
"""

from __future__ import annotations

import ctypes
import os
import sysconfig
from collections import deque
from collections.abc import Sequence
from ctypes import POINTER, Structure, c_bool, c_char_p, c_float, c_int, c_int32, c_size_t, c_uint32, c_void_p
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

from hailo_common.errors import ModelMissing

PACKAGE = "hailo-llama"
_FILES = ("libllama.so", "libmtmd.so")
_ERROR = 4  # GGML_LOG_LEVEL_ERROR
_F16, _UNSPECIFIED = 1, -1


class ModelParams(Structure):
    """`llama_model_params`."""

    _fields_: ClassVar[Sequence[tuple[str, Any]]] = [
        ("devices", c_void_p),
        ("tensor_buft_overrides", c_void_p),
        ("n_gpu_layers", c_int32),
        ("split_mode", c_int),
        ("load_mode", c_int),
        ("lazy_mode", c_int),
        ("main_gpu", c_int32),
        ("tensor_split", c_void_p),
        ("progress_callback", c_void_p),
        ("progress_callback_user_data", c_void_p),
        ("kv_overrides", c_void_p),
        ("vocab_only", c_bool),
        ("check_tensors", c_bool),
        ("use_extra_bufts", c_bool),
        ("no_host", c_bool),
        ("no_alloc", c_bool),
        ("load_mtp", c_bool),
    ]


def _context_fields(*newer: tuple[str, Any]) -> list[tuple[str, Any]]:
    """`llama_context_params`; `newer` is what version 0.6 has before `abort_callback`."""
    return [
        *((name, c_uint32) for name in ("n_ctx", "n_batch", "n_ubatch", "n_seq_max", "n_rs_seq")),
        *((name, c_uint32) for name in ("n_outputs_max", "n_outputs_max_per_seq")),
        *((name, c_int32) for name in ("n_threads", "n_threads_batch")),
        *((name, c_int) for name in ("ctx_type", "rope_scaling_type", "pooling_type", "attention_type")),
        ("flash_attn_type", c_int),
        *((name, c_float) for name in ("rope_freq_base", "rope_freq_scale", "yarn_ext_factor")),
        *((name, c_float) for name in ("yarn_attn_factor", "yarn_beta_fast", "yarn_beta_slow")),
        ("yarn_orig_ctx", c_uint32),
        ("defrag_thold", c_float),
        ("cb_eval", c_void_p),
        ("cb_eval_user_data", c_void_p),
        ("type_k", c_int),
        ("type_v", c_int),
        *newer,
        ("abort_callback", c_void_p),
        ("abort_callback_data", c_void_p),
        *((name, c_bool) for name in ("embeddings", "offload_kqv", "no_perf", "op_offload")),
        *((name, c_bool) for name in ("swa_full", "kv_unified")),
        ("samplers", c_void_p),
        ("n_samplers", c_size_t),
        ("ctx_other", c_void_p),
    ]


class ContextParams5(Structure):
    """`llama_context_params` of version 0.5."""

    _fields_: ClassVar[Sequence[tuple[str, Any]]] = _context_fields()


class ContextParams6(Structure):
    """`llama_context_params` of version 0.6."""

    _fields_: ClassVar[Sequence[tuple[str, Any]]] = _context_fields(("moe_cache_size", c_size_t))


_LAYOUTS: dict[str, type[Structure]] = {"0.5": ContextParams5, "0.6": ContextParams6}
"""By the first two numbers of `llama_version()`; all else is the same in these."""


class Batch(Structure):
    """`llama_batch`: tokens or embeddings, their positions and sequences, and whose scores are wanted."""

    _fields_: ClassVar[Sequence[tuple[str, Any]]] = [
        ("n_tokens", c_int32),
        ("token", c_void_p),
        ("embd", c_void_p),
        ("pos", c_void_p),
        ("n_seq_id", c_void_p),
        ("seq_id", c_void_p),
        ("logits", c_void_p),
    ]


class MtmdParams(Structure):
    """`mtmd_context_params`."""

    _fields_: ClassVar[Sequence[tuple[str, Any]]] = [
        ("use_gpu", c_bool),
        ("device", c_void_p),
        ("print_timings", c_bool),
        ("n_threads", c_int),
        ("image_marker", c_char_p),
        ("media_marker", c_char_p),
        ("flash_attn_type", c_int),
        ("warmup", c_bool),
        ("image_min_tokens", c_int),
        ("image_max_tokens", c_int),
        ("cb_eval", c_void_p),
        ("cb_eval_user_data", c_void_p),
        ("batch_max_tokens", c_int32),
        ("progress_callback", c_void_p),
        ("progress_callback_user_data", c_void_p),
    ]


class MtmdPart(Structure):
    """`mtmd_input_part`: a text or a bitmap."""

    _fields_: ClassVar[Sequence[tuple[str, Any]]] = [("text", c_void_p), ("bitmap", c_void_p)]


_SET_MDWE, _REFUSE_EXEC_GAIN = 65, 1  # linux/prctl.h
_LOG = ctypes.CFUNCTYPE(None, c_int, c_char_p, c_void_p)
_LLAMA: dict[str, tuple[Any, list[Any]]] = {
    "llama_version": (c_char_p, []),
    "ggml_backend_load_all_from_path": (None, [c_char_p]),
    "ggml_backend_dev_count": (c_size_t, []),
    "llama_backend_init": (None, []),
    "llama_log_set": (None, [_LOG, c_void_p]),
    "llama_print_system_info": (c_char_p, []),
    "llama_model_default_params": (ModelParams, []),
    "llama_model_load_from_file": (c_void_p, [c_char_p, ModelParams]),
    "llama_model_free": (None, [c_void_p]),
    "llama_free": (None, [c_void_p]),
    "llama_model_get_vocab": (c_void_p, [c_void_p]),
    "llama_model_n_ctx_train": (c_int32, [c_void_p]),
    "llama_model_n_embd_inp": (c_int32, [c_void_p]),
    "llama_model_has_encoder": (c_bool, [c_void_p]),
    "llama_vocab_n_tokens": (c_int32, [c_void_p]),
    "llama_vocab_is_eog": (c_bool, [c_void_p, c_int32]),
    "llama_vocab_bos": (c_int32, [c_void_p]),
    "llama_vocab_get_add_bos": (c_bool, [c_void_p]),
    "llama_tokenize": (c_int32, [c_void_p, c_char_p, c_int32, c_void_p, c_int32, c_bool, c_bool]),
    "llama_token_to_piece": (c_int32, [c_void_p, c_int32, c_char_p, c_int32, c_int32, c_bool]),
    "llama_decode": (c_int32, [c_void_p, Batch]),
    "llama_get_logits_ith": (POINTER(c_float), [c_void_p, c_int32]),
    "llama_set_causal_attn": (None, [c_void_p, c_bool]),
    "llama_get_memory": (c_void_p, [c_void_p]),
    "llama_memory_seq_rm": (c_bool, [c_void_p, c_int32, c_int32, c_int32]),
    "llama_memory_seq_cp": (None, [c_void_p, c_int32, c_int32, c_int32, c_int32]),
}
_MTMD: dict[str, tuple[Any, list[Any]]] = {
    "mtmd_log_set": (None, [_LOG, c_void_p]),
    "mtmd_context_params_default": (MtmdParams, []),
    "mtmd_init_from_file": (c_void_p, [c_char_p, c_void_p, MtmdParams]),
    "mtmd_free": (None, [c_void_p]),
    "mtmd_support_vision": (c_bool, [c_void_p]),
    "mtmd_decode_use_mrope": (c_bool, [c_void_p]),
    "mtmd_decode_use_non_causal": (c_bool, [c_void_p, c_void_p]),
    "mtmd_bitmap_init": (c_void_p, [c_uint32, c_uint32, c_void_p]),
    "mtmd_bitmap_free": (None, [c_void_p]),
    "mtmd_input_chunks_init": (c_void_p, []),
    "mtmd_input_chunks_size": (c_size_t, [c_void_p]),
    "mtmd_input_chunks_get": (c_void_p, [c_void_p, c_size_t]),
    "mtmd_input_chunks_free": (None, [c_void_p]),
    "mtmd_input_chunk_get_type": (c_int, [c_void_p]),
    "mtmd_input_chunk_get_tokens_text": (POINTER(c_int32), [c_void_p, POINTER(c_size_t)]),
    "mtmd_input_chunk_get_tokens_image": (c_void_p, [c_void_p]),
    "mtmd_input_chunk_get_n_tokens": (c_size_t, [c_void_p]),
    "mtmd_input_chunk_get_n_pos": (c_int32, [c_void_p]),
    "mtmd_helper_image_get_decoder_pos": (None, [c_void_p, c_int32, c_void_p]),
    "mtmd_tokenize_from_parts": (c_int32, [c_void_p, c_void_p, c_void_p, c_size_t, c_bool]),
    "mtmd_encode_chunk": (c_int32, [c_void_p, c_void_p]),
    "mtmd_get_output_embd": (POINTER(c_float), [c_void_p]),
}


def find_library() -> tuple[Path, Path] | None:
    """libllama and libmtmd: of the Debian package, else in the Python wheel `xllamacpp`; opens nothing."""
    folder = Path(f"/usr/lib/{sysconfig.get_config_var('MULTIARCH') or ''}") / PACKAGE
    if all((folder / name).exists() for name in _FILES):
        return folder / _FILES[0], folder / _FILES[1]
    wheel = find_spec("xllamacpp")
    places = [] if wheel is None else wheel.submodule_search_locations or []
    for place in places:
        for path in sorted(Path(place).glob("xllamacpp*.so")):
            return path, path
    return None


class Library:
    """The two libraries, opened once a process. Functions are attributes of `llama` and `mtmd`."""

    _opened: ClassVar[Library | None] = None

    def __init__(self, llama: Path, mtmd: Path) -> None:
        """Raises ModelMissing when they cannot be opened, or are of another build."""
        _forbid_writable_code()
        self._errors: deque[str] = deque(maxlen=4)
        # When it aborts it would start a debugger to print where.
        os.environ.setdefault("GGML_NO_BACKTRACE", "1")
        self._log = _LOG(self._note)
        try:
            self.llama = _declared(llama, _LLAMA)
            self.mtmd = _declared(mtmd, _MTMD)
        except (OSError, AttributeError) as error:
            raise _other(llama, str(error)) from error
        self._choose_layout(llama)
        self.llama.llama_log_set(self._log, None)
        self.mtmd.mtmd_log_set(self._log, None)
        self._check(llama)
        self.llama.ggml_backend_load_all_from_path(str(llama.parent).encode())
        self.llama.llama_backend_init()
        if not self.llama.ggml_backend_dev_count():
            raise _other(llama, "it finds no code for this CPU")

    @classmethod
    def open(cls) -> Library:
        """The library of this process; raises ModelMissing when there is none that can be used."""
        if cls._opened is None:
            found = find_library()
            if found is None:
                raise ModelMissing(
                    "models in GGUF files need llama.cpp, which is not installed: apt install"
                    f" {PACKAGE} (in a Python environment: pip install 'hailo-appliance[gguf]')"
                )
            cls._opened = cls(*found)
        return cls._opened

    def last_errors(self) -> str:
        """What the library said last of what went wrong, and forget it; "" when it said nothing."""
        said = "; ".join(self._errors)
        self._errors.clear()
        return said

    def _note(self, level: int, text: bytes, _: object) -> None:
        if level == _ERROR:
            line = text.decode("utf-8", "replace").strip()
            self._errors.append("".join(c if c.isprintable() else " " for c in line)[:300])

    def _choose_layout(self, path: Path) -> None:
        version = self.llama.llama_version().decode("ascii", "replace")
        layout = _LAYOUTS.get(".".join(version.split(".")[:2]))
        if layout is None:
            raise _other(path, f"it is version {version}, and {' and '.join(_LAYOUTS)} are known")
        self.llama.llama_context_default_params.restype = layout
        self.llama.llama_context_default_params.argtypes = []
        self.llama.llama_init_from_model.restype = c_void_p
        self.llama.llama_init_from_model.argtypes = [c_void_p, layout]

    def _check(self, path: Path) -> None:
        """Refuse another layout before anything is passed in it."""
        context, model = self.llama.llama_context_default_params(), self.llama.llama_model_default_params()
        expected = (context.n_ctx, context.n_batch, context.n_ubatch) == (512, 2048, 512)
        expected &= (context.type_k, context.type_v, context.yarn_ext_factor) == (_F16, _F16, -1.0)
        expected &= bool(context.offload_kqv and context.swa_full) and not context.kv_unified
        expected &= (model.n_gpu_layers, model.load_mode, model.use_extra_bufts) == (-1, _UNSPECIFIED, True)
        expected &= self.mtmd.mtmd_context_params_default().batch_max_tokens == 1024
        if not expected:
            version = self.llama.llama_version().decode("ascii", "replace")
            raise _other(path, f"its structures are those of another version ({version})")


def _forbid_writable_code() -> None:
    """Memory of this process is from now on either written or executed, as its unit wants it.

    Debian's libffi makes a callback in memory that is both where it may. Needs Linux 6.3; others go without.
    """
    ctypes.CDLL(None).prctl(_SET_MDWE, _REFUSE_EXEC_GAIN, 0, 0, 0)


def _declared(path: Path, functions: dict[str, tuple[Any, list[Any]]]) -> ctypes.CDLL:
    library = ctypes.CDLL(str(path))
    for name, (result, arguments) in functions.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


def _other(path: Path, why: str) -> ModelMissing:
    return ModelMissing(f"{path}: llama.cpp cannot be used: {why}; install the package {PACKAGE} again")
