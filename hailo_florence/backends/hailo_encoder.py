"""The text encoder as a HEF of one fixed length: image features, prompt, and zeros where the prompt is short.

Source of the shapes: the community's `florence2_transformer_encoder.hef`, (1, 153, 768) to the same, of which
145 rows are the picture; every size is read from the file.
"""

from __future__ import annotations

from collections.abc import Sequence

from hailo_common.errors import ModelError
from hailo_common.npu.network import Network
from hailo_florence.backends.hailo_embeddings import PromptEmbedding
from hailo_florence.backends.stages import Floats


class HailoTextEncoder:
    """See `TextEncoder`. Owns the network, not the embedding."""

    def __init__(self, network: Network, embed: PromptEmbedding) -> None:
        """Raises ModelError when the HEF is another one."""
        self._network = network
        self._embed = embed
        self._input, self._output = network.input(), network.output()
        if self._input.buffer.shape != self._output.buffer.shape:
            raise ModelError(
                f"{network.path}: expected an output of the input's shape {self._input.buffer.shape}"
            )

    @property
    def length(self) -> int:
        """See `TextEncoder.length`."""
        return self._input.rows

    def encode(self, features: Floats, ids: Sequence[int]) -> Floats:
        """See `TextEncoder.encode`. Raises DeviceLost, or ValueError for more rows than there is room for."""
        image, prompt = features.reshape(features.shape[-2:]), self._embed(ids)
        used = len(image) + len(prompt)
        if used > self.length:
            raise ValueError(f"expected at most {self.length} rows, not {used}")
        self._input.store(image)
        self._input.store(prompt, len(image))
        self._input.clear(used)
        self._network.run()
        return self._output.read(used)[None]

    def close(self) -> None:
        """See `TextEncoder.close`."""
        self._network.close()
