"""What clients type is data: special tokens, whatever they are made of, stay plain text."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hailo_common.errors import InvalidParameter, ModelError, ModelMissing
from hailo_common.inference.model_dir import ModelDir
from hailo_vision.onnx.families.qwen2_vl.config import read_model_config
from hailo_vision.onnx.prompt import ImageInput, Prompts
from hailo_vision.protocol import ChatMessage
from hailo_vision.text.generation import Detokenizer
from hailo_vision.text.tokens import SpecialTokenEscaper, Tokens
from tests.hailo_florence.cases import with_settings
from tests.hailo_vision.conversations import FOLDERS
from tests.hailo_vision.talk import noise

A = ModelDir(FOLDERS["random-a"])
PROMPTS = Prompts(A, read_model_config(A).image_token)
TOKENS = PROMPTS.tokens
ADDED = sorted(TOKENS.added)
IMAGE = ImageInput(noise(0), (1, 4, 6), 6)
TURN = ChatMessage("user", ("hello",))


def ids_of(*parts: str) -> list[int]:
    return PROMPTS.make([ChatMessage("user", parts)], []).ids


def text_of(ids: list[int]) -> str:
    detokeniser = Detokenizer(TOKENS)
    return "".join(map(detokeniser.add, ids)) + detokeniser.end()


FRAME = [i for i in ids_of("") if i in TOKENS.added.values()]


@pytest.mark.parametrize("token", ADDED)
def test_every_added_token_stays_text(token: str) -> None:
    ids = ids_of(f"a{token}b")
    assert [i for i in ids if i in TOKENS.added.values()] == FRAME
    assert f"a{token}b" in text_of(ids)


@settings(max_examples=300)
@given(st.lists(st.one_of(st.sampled_from([*ADDED, "<", "|", ">", "<|im_", "end|>"]), st.text()), max_size=6))
def test_no_text_makes_an_added_token(parts: list[str]) -> None:
    ids = ids_of(*parts)
    assert [i for i in ids if i in TOKENS.added.values()] == FRAME


def test_tokens_cut_between_parts_and_nested_in_each_other() -> None:
    for cut in range(1, len("<|im_end|>")):
        for left, right in (("<|im_end|>"[:cut], "<|im_end|>"[cut:]), ("<|im_<|im_end|>", "end|>")):
            ids = ids_of(left, right)
            assert [i for i in ids if i in TOKENS.added.values()] == FRAME
            assert left + right in text_of(ids)


def test_ordinary_text_is_what_the_tokenizer_gives() -> None:
    text = "What color is it? 1 < 2 | 3 > 2, ¿Cuántos?\n\n😀 e\u0301"
    ids = ids_of(text)
    bare = TOKENS.encode(f"user\n{text}", {})
    assert any(ids[start : start + len(bare)] == bare for start in range(len(ids)))


def test_private_characters_stay_what_they_are() -> None:
    text = "".join(map(chr, itertools.chain(range(0xF0000, 0xF0010), range(0x10FF00, 0x10FF08)))) + "<"
    assert text in text_of(ids_of(text))


def test_no_private_character_left() -> None:
    with pytest.raises(InvalidParameter, match="private"):
        SpecialTokenEscaper(["<"], frozenset(), ["".join(map(chr, range(0xF0000, 0x10FFFE)))])


def test_images_take_their_places() -> None:
    small = ImageInput(noise(1), (1, 2, 4), 2)
    prompt = PROMPTS.make(
        [ChatMessage("user", ("one", 1, "two", 0)), TURN, ChatMessage("user", (1,))], [IMAGE, small]
    )
    assert [image.tokens for image in prompt.images] == [2, 6, 2]
    assert prompt.image_tokens == 10
    image_token = read_model_config(A).image_token
    assert prompt.ids.count(image_token) == 10
    for place, image in zip(prompt.spans, prompt.images, strict=True):
        assert prompt.ids[place.start : place.start + image.tokens] == [image_token] * image.tokens
        assert prompt.ids[place.start - 1] != image_token


def test_bytes_of_tokens() -> None:
    assert TOKENS.bytes_of(TOKENS.added["<|im_end|>"]) == b""
    assert TOKENS.bytes_of(10**6) == b""
    assert b"".join(map(TOKENS.bytes_of, TOKENS.encode("Grün 😀", {}))) == "Grün 😀".encode()


def change(tmp_path: Path, **values: object) -> ModelDir:
    folder = with_settings(A.path, tmp_path, {})
    path = folder / "tokenizer.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))
    return ModelDir(folder)


def test_an_added_token_that_is_no_special_one_is_written(tmp_path: Path) -> None:
    token = {"id": 350, "content": "<note é>", "special": False, "single_word": False, "lstrip": False}
    source = json.loads((A.path / "tokenizer.json").read_text())
    tokens = Tokens(change(tmp_path, added_tokens=[*source["added_tokens"], token]))
    assert tokens.bytes_of(350) == "<note é>".encode()
    assert tokens.encode("<note é>", {}) == [350]


@pytest.mark.parametrize("decoder", [None, {"type": "WordPiece"}, {"type": "Sequence", "decoders": []}])
def test_not_byte_level(tmp_path: Path, decoder: object) -> None:
    with pytest.raises(ModelError, match=r"tokenizer\.json: expected (a byte-level|a tokenizer)"):
        Tokens(change(tmp_path, decoder=decoder))


def test_image_token_that_the_tokenizer_lacks() -> None:
    with pytest.raises(ModelError, match=r"tokenizer\.json: expected an added token 5"):
        Prompts(A, 5)


def test_no_tokenizer(tmp_path: Path) -> None:
    with pytest.raises(ModelMissing, match=r"tokenizer\.json"):
        Tokens(ModelDir(tmp_path))
