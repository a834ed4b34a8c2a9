"""The decoder as a HEF with a fixed window and no cache: each step computes the whole window anew.

The scores of all rows come back; only the row of the newest token is looked at, and it stays as the chip
stores it. Source of names and shapes: the community's `florence2_transformer_decoder.hef`, whose
`input_layer1` takes the encoder's states, `input_layer2` the answer's embeddings so far (1, 1, 32, 768), and
whose scores are (32, 51289).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hailo_common.errors import EngineFailed, ModelError
from hailo_common.npu.network import Network, Port, QuantizedRow
from hailo_florence.model.stages import Embedding, Floats

_HIDDEN, _EMBEDS = "input_layer1", "input_layer2"


def scores_of(network: Network) -> list[Port]:
    """The outputs that hold the scores, in the order of the vocabulary.

    A vocabulary that is too large for one product comes in several, numbered by the compiler as they follow
    each other: `conv49`, `conv50` and so on.
    """
    return sorted(network.outputs.values(), key=lambda port: _numbers(port.name))


def _numbers(name: str) -> list[int]:
    return [int(digits) for digits in re.findall(r"\d+", name)]


def _row(port: Port, place: int) -> NDArray[np.float32] | QuantizedRow:
    """The scores of one place, as the chip stores them where it does."""
    row = port.buffer[place]
    if port.quantisation is None:
        real: NDArray[np.float32] = row
        return real
    return QuantizedRow(row, port.quantisation)


class HailoDecoder:
    """See `Decoder`. Owns the network, not the embedding; one answer at a time."""

    def __init__(self, network: Network, embed: Embedding) -> None:
        """Raises ModelError naming the file whose inputs or outputs are not those of a decoder."""
        self.network = network
        self.embed = embed
        self.hidden, self.embeds = network.input(_HIDDEN), network.input(_EMBEDS)
        self.scores = scores_of(network)
        self.holds: HailoDecoding | None = None
        """Whose tokens the window holds now."""
        rows = sorted({port.rows for port in self.scores})
        if self.hidden.width != self.embeds.width or rows != [self.embeds.rows]:
            raise ModelError(
                f"{network.path}: expected inputs of one width and scores for {self.embeds.rows} positions,"
                f" not widths {self.hidden.width} and {self.embeds.width} and scores for {rows}"
            )

    @property
    def length(self) -> int:
        """See `Decoder.length`."""
        return self.hidden.rows

    @property
    def window(self) -> int:
        """See `Decoder.window`."""
        return self.embeds.rows

    def start(self, hidden: Floats) -> HailoDecoding:
        """See `Decoder.start`."""
        rows = hidden.reshape(hidden.shape[-2:])
        self.hidden.store(rows)
        self.hidden.clear(len(rows))
        return HailoDecoding(self)

    def close(self) -> None:
        """See `Decoder.close`."""
        self.network.close()


class HailoDecoding:
    """See `Decoding`. Uses the decoder's buffers until the next one starts."""

    def __init__(self, decoder: HailoDecoder, tokens: Sequence[int] = ()) -> None:
        self._decoder = decoder
        self._tokens = list(tokens)

    def step(self, token: int) -> NDArray[np.float32] | QuantizedRow:
        """See `Decoding.step`. Raises DeviceLost, EngineFailed beyond the window."""
        decoder, place = self._decoder, len(self._tokens)
        if place >= decoder.window:
            raise EngineFailed(f"The decoder has room for {decoder.window} tokens.")
        if decoder.holds is not self:
            self._fill()
        decoder.embeds.store(decoder.embed([token])[0], place)
        self._tokens.append(token)
        decoder.network.run()
        rows = [_row(port, place) for port in decoder.scores]
        if len(rows) == 1:
            return rows[0]
        return np.concatenate([row.real() if isinstance(row, QuantizedRow) else row for row in rows])

    def fork(self) -> HailoDecoding:
        """See `Decoding.fork`. There is no cache to share: whoever steps next fills the window anew."""
        return HailoDecoding(self._decoder, self._tokens)

    def _fill(self) -> None:
        decoder = self._decoder
        decoder.embeds.clear()
        if self._tokens:
            decoder.embeds.store(decoder.embed(self._tokens)[0], 0)
        decoder.holds = self
