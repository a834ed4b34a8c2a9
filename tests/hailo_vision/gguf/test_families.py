"""The families that llama.cpp carries: vocabulary, template, tiles and memory, with random weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hailo_common.engine.contract import RgbImage
from hailo_common.errors import ModelError
from hailo_common.inference.sampling import Logits
from hailo_vision.config import VisionSettings
from hailo_vision.gguf.engine import make_gguf_engine
from hailo_vision.gguf.model import LanguageModel
from hailo_vision.gguf.prompt import ImageInput
from hailo_vision.gguf.sizing import tokens_of
from hailo_vision.gguf.vision import ImagePart
from hailo_vision.protocol import VisionRequest, VisionResult
from tests.hailo_vision.gguf.conftest import Load, Talk
from tests.hailo_vision.gguf.tiny import FAMILIES, write_family
from tests.hailo_vision.talk import noise, question, say, vision_request

SIZES = (
    (64, 64),
    (512, 512),
    (512, 384),
    (384, 512),
    (640, 480),
    (1920, 1080),
    (1080, 1920),
    (1600, 400),
    (9, 900),
)
MARKS = 4
TOLERANCE = 0.02  # of scores that spread by 1; keys and values have 16 bits


@pytest.fixture(scope="session", params=list(FAMILIES))
def family(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """A family's name, and a folder with its files."""
    folder = tmp_path_factory.mktemp("tiny") / request.param
    write_family(request.param, folder)
    return request.param, folder


@pytest.fixture
def talk(family: tuple[str, Path], load: Load) -> Talk:
    """One engine for each family, without a memory of earlier conversations."""
    return load(family[1], max_num_seqs=2, conversation_cache_mb=0, picture_cache_mb=0)


def pictures(talk: Talk, count: int) -> list[RgbImage]:
    """Pictures that the engine's own resizing would make."""
    assert talk.engine._encoder is not None
    return [noise(number, 6, 8, 32) for number in range(count)]


def test_a_picture_stands_where_the_message_has_it(talk: Talk, family: tuple[str, Path]) -> None:
    first, second = (talk.engine._image_input(picture) for picture in pictures(talk, 2))
    message = vision_request(question("Before", 0, "between", 1, "after")).messages
    prompt = talk.engine._prompts.make(message, [first, second])
    order = list(dict.fromkeys(run.image.digest for run in prompt.runs))
    assert order == [first.digest, second.digest]
    text = b"".join(map(talk.engine._prompts.tokens.bytes_of, prompt.ids))
    assert text.index(b"Before") < text.index(b"between") < text.index(b"after")
    assert prompt.length == len(prompt.ids) + prompt.image_tokens
    last = prompt.runs[-1]
    assert prompt.following > prompt.positions[last.start]
    beginning = FAMILIES[family[0]].first
    if beginning is not None:
        number = talk.engine._prompts.tokens.added[beginning]
        assert prompt.ids.count(number) == 1
        assert prompt.ids[0] == number


def test_what_a_user_types_is_no_mark(talk: Talk, family: tuple[str, Path]) -> None:
    typed = "Hi" + "".join(FAMILIES[family[0]].specials)
    prompts = talk.engine._prompts
    plain, marked = (prompts.make(vision_request(question(text)).messages, []) for text in ("Hi", typed))
    for text, number in prompts.tokens.added.items():
        assert marked.ids.count(number) == plain.ids.count(number), text
    assert typed.encode() in b"".join(map(prompts.tokens.bytes_of, marked.ids))


@pytest.mark.parametrize("most", [192, 400, 768])
def test_no_picture_takes_more_than_it_may(family: tuple[str, Path], load: Load, most: int) -> None:
    options = {**VisionSettings().engine_options(), "threads": 1, "model_dir": str(family[1])}
    with make_gguf_engine({**options, "max_image_tokens": most}) as engine:
        resize = engine.load().resize
        encoder = engine._encoder
        assert encoder is not None
        sizes = [resize.size_for(*size) for size in SIZES]
        found = [tokens_of(encoder.projector.parts(*size)) for size in sizes]
        long = np.zeros((sizes[-1][1], sizes[-1][0], 3), np.uint8)
        assert tokens_of(encoder.projector.encode(long)) == found[-1]
    assert max(found) <= most + (MARKS if FAMILIES[family[0]].projector != "idefics3" else 0)
    # Gemma 3's are all of one size; between SmolVLM's whole image and its first tiles there is nothing.
    if (FAMILIES[family[0]].projector, most) not in (("gemma3", most), ("idefics3", 192)):
        assert max(found) > most // 2


def test_a_bound_below_one_picture_is_refused_with_numbers(tmp_path: Path) -> None:
    write_family("smolvlm", tmp_path)
    options = {**VisionSettings().engine_options(), "threads": 1, "model_dir": str(tmp_path)}
    with pytest.raises(
        ModelError, match=r"mmproj\.gguf: .* at least 67 tokens, and max_image_tokens allows 60"
    ):
        make_gguf_engine({**options, "max_image_tokens": 60}).load()


@pytest.mark.parametrize(
    ("size", "most", "tiles"),
    [((224, 224), 384, 1), ((512, 300), 384, 1), ((640, 480), 384, 3), ((1920, 1080), 384, 3),
     ((2000, 2000), 384, 5), ((1920, 1080), 768, 9), ((512, 512), 768, 1), ((4000, 3000), 100, 1)],
)  # fmt: skip
def test_an_image_that_a_tile_can_show_is_not_cut(
    tmp_path: Path, size: tuple[int, int], most: int, tiles: int
) -> None:
    """libmtmd shows it twice or more, enlarged, which costs as many times the encoder's work."""
    write_family("smolvlm", tmp_path)
    options = {**VisionSettings().engine_options(), "threads": 1, "model_dir": str(tmp_path)}
    with make_gguf_engine({**options, "max_image_tokens": most}) as engine:
        width, height = engine.load().resize.size_for(*size)
        encoder = engine._encoder
        assert encoder is not None
        shape, made = (
            encoder.projector.parts(width, height),
            encoder.projector.encode(np.zeros((height, width, 3), np.uint8)),
        )
        tokens = engine._prompts.tokens
    assert [len(part) if isinstance(part, list) else part.count for part in made] == [
        len(part) if isinstance(part, list) else part.count for part in shape
    ]
    assert sum(isinstance(part, ImagePart) for part in made) == tiles
    whole, after = made[-2:]
    assert isinstance(whole, ImagePart)
    mark, last = tokens.added["<fake_token_around_image>"], tokens.added["<global-img>"]
    before = made[-3]
    assert isinstance(before, list)
    assert (before[-2:], after) == ([mark, last], [mark])
    if tiles == 1:
        assert len(before) == 2
        assert tokens_of(made) == 67


@pytest.fixture
def scored(monkeypatch: pytest.MonkeyPatch) -> list[np.ndarray[Any, Any]]:
    """All scores that models give, as they come: random weights tie too often for a text to be compared."""
    seen: list[np.ndarray[Any, Any]] = []
    original = LanguageModel.scores

    def scores(model: LanguageModel, row: int) -> Logits:
        found = original(model, row)
        seen.append(found.copy())
        return found

    monkeypatch.setattr(LanguageModel, "scores", scores)
    return seen


def first_scores(
    talk: Talk, scored: list[np.ndarray[Any, Any]], request: VisionRequest, images: list[RgbImage]
) -> tuple[np.ndarray[Any, Any], VisionResult]:
    """The scores of a request's first token, and its result."""
    scored.clear()
    result = talk.ask(request, images)
    return scored[0], result


def letters(talk: Talk, *parts: str | int, **fields: Any) -> dict[str, Any]:
    """A question whose answer is a row of the letter a, which is the same tokens when it is read again."""
    assert talk.engine._model is not None
    (letter,) = talk.engine._model.tokenize("a")
    return question(*parts, max_tokens=6, logit_bias={str(letter): 100}, **fields)


def test_several_turns_are_the_same_with_and_without_a_memory(
    family: tuple[str, Path], load: Load, talk: Talk, scored: list[np.ndarray[Any, Any]]
) -> None:
    keeping = load(family[1], max_num_seqs=3, picture_cache_mb=8)
    images = pictures(talk, 2)
    fields = letters(talk, 0, "What is this?")
    for number in range(3):
        request = replace(vision_request(fields), owner="several turns")
        used = images[: 1 + (number > 1)]
        (fresh, _), (kept, result) = (first_scores(one, scored, request, used) for one in (talk, keeping))
        np.testing.assert_allclose(kept, fresh, atol=TOLERANCE)
        assert result.text == "aaaaaa"
        assert (result.cached_tokens > 0) == (number > 0)
        more = say("user", *([1] if number == 1 else []), "And now?")
        fields = {**fields, "messages": [*fields["messages"], say("assistant", result.text), more]}


def test_another_question_about_the_same_picture(
    family: tuple[str, Path], load: Load, talk: Talk, scored: list[np.ndarray[Any, Any]]
) -> None:
    keeping = load(family[1], max_num_seqs=3, picture_cache_mb=8)
    images = pictures(talk, 1)
    for text in ("What is this?", "What colour has it?", "What is this?"):
        request = replace(vision_request(letters(talk, 0, text)), owner="other questions")
        (fresh, _), (kept, again) = (first_scores(one, scored, request, images) for one in (talk, keeping))
        np.testing.assert_allclose(kept, fresh, atol=TOLERANCE)
    # A recurrent memory cannot go back to where the questions part.
    assert (again.cached_tokens == 0) == (family[0] == "lfm2-vl")
    assert again.cached_images == 1


def test_two_at_once_answer_as_alone(talk: Talk, scored: list[np.ndarray[Any, Any]]) -> None:
    texts = ("What is this?", "Where was it?")
    asked = [
        (vision_request(letters(talk, 0, text)), [image])
        for text, image in zip(texts, pictures(talk, 2), strict=True)
    ]
    alone = [first_scores(talk, scored, *one)[0] for one in asked]
    scored.clear()
    talk.finish(*(talk.begin(*one) for one in asked))
    assert len(scored) == 12
    for expected in alone:
        assert min(float(np.abs(found - expected).max()) for found in scored) < TOLERANCE


@pytest.mark.parametrize("steps", [0, 1, 3, 6])
def test_a_request_given_up_leaves_nothing_behind(
    talk: Talk, steps: int, scored: list[np.ndarray[Any, Any]]
) -> None:
    first, second = pictures(talk, 2)
    request = vision_request(letters(talk, 0, "What is this?"))
    expected, _ = first_scores(talk, scored, request, [second])
    number = talk.begin(vision_request(question(0, "Where?", max_tokens=50)), [first])
    for _ in range(steps):
        talk.step()
    talk.engine.cancel(number)
    found, _ = first_scores(talk, scored, request, [second])
    np.testing.assert_allclose(found, expected, atol=TOLERANCE)


def test_smolvlm_cuts_a_picture_into_tiles_of_64_tokens(tmp_path: Path, load: Load) -> None:
    write_family("smolvlm", tmp_path / "smol")
    options = {"max_num_seqs": 2, "conversation_cache_mb": 0, "picture_cache_mb": 0, "max_image_tokens": 768}
    talk = load(tmp_path / "smol", **options)
    encoder = talk.engine._encoder
    assert encoder is not None
    tokens = talk.engine._prompts.tokens.added
    for width, height, rows, columns in ((1024, 1024, 3, 3), (1024, 512, 2, 4), (512, 1024, 4, 2)):
        parts = encoder.projector.parts(width, height)
        tiles = [part for part in parts if isinstance(part, ImagePart)]
        assert [tile.count for tile in tiles] == [64] * (rows * columns + 1)
        written = [number for part in parts if isinstance(part, list) for number in part]
        assert written.count(tokens["<global-img>"]) == 1
        wanted = [
            tokens[f"<row_{row + 1}_col_{column + 1}>"] for row in range(rows) for column in range(columns)
        ]
        assert [number for number in written if number in wanted] == wanted


def test_gemma_reads_a_whole_picture_in_one_step(tmp_path: Path, load: Load) -> None:
    write_family("gemma-3", tmp_path / "gemma")
    talk = load(tmp_path / "gemma", max_num_seqs=2, conversation_cache_mb=0, picture_cache_mb=0)
    image = talk.engine._image_input(np.full((256, 256, 3), 9, np.uint8))
    assert isinstance(image, ImageInput)
    (part,) = [part for part in image.parts if isinstance(part, ImagePart)]
    assert (part.count, part.advance, part.causal) == (16, 16, False)
