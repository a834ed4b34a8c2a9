"""What is said about drawn scenes is true, has one answer, and is one token a word."""

from __future__ import annotations

import random

import pytest
from tokenizers import Tokenizer

from training.florence.tokenizer import build_tokenizer, image_token_id
from training.scenes.language import KINDS, captions, question, relation, spoken, vocabulary_text
from training.scenes.scenes import Scene, sample_scene


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    rng = random.Random(11)
    return [sample_scene(rng) for _ in range(400)]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return build_tokenizer()


def test_objects_of_a_scene_differ(scenes: list[Scene]) -> None:
    for scene in scenes:
        names = [thing.name for thing in scene.things]
        assert 1 <= len(names) == len(set(names)) <= 3


def test_objects_lie_inside(scenes: list[Scene]) -> None:
    for scene in scenes:
        for thing in scene.things:
            assert thing.radius <= thing.centre[0] <= scene.width - thing.radius
            assert thing.radius <= thing.centre[1] <= scene.height - thing.radius


def test_captions_name_every_object(scenes: list[Scene]) -> None:
    for scene in scenes:
        for caption in captions(scene):
            assert all(thing.name in caption for thing in scene.things)
            assert "a orange" not in caption


def test_both_captions_of_two_mirror_each_other(scenes: list[Scene]) -> None:
    for scene in scenes:
        if len(scene.things) == 2:
            one, other = scene.things
            said = captions(scene)
            assert any(f"{one.name} {relation(one, other)} " in caption for caption in said)
            assert any(f"{other.name} {relation(other, one)} " in caption for caption in said)


def test_no_caption_repeats_three_tokens(scenes: list[Scene], tokenizer: Tokenizer) -> None:
    for scene in scenes:
        for caption in captions(scene):
            ids = [2, *tokenizer.encode(caption).ids]
            triples = list(zip(ids, ids[1:], ids[2:], strict=False))
            assert len(triples) == len(set(triples)), caption


@pytest.mark.parametrize("kind", KINDS)
def test_every_word_is_one_token(scenes: list[Scene], tokenizer: Tokenizer, kind: str) -> None:
    rng = random.Random(3)
    asked = [found for scene in scenes if (found := question(scene, kind, rng)) is not None]
    assert len(asked) > 100
    for found in asked:
        for text in (found.text, found.answer):
            words = text.replace("?", " ?").split()
            assert len(tokenizer.encode(text, add_special_tokens=False).ids) == len(words)


def test_yes_and_no_are_balanced(scenes: list[Scene]) -> None:
    rng = random.Random(5)
    for kind in ("exists", "exists exactly"):
        answers = [found.answer for scene in scenes if (found := question(scene, kind, rng)) is not None]
        assert 0.4 < answers.count("yes") / len(answers) < 0.6


def test_every_direction_is_asked_about(scenes: list[Scene]) -> None:
    rng = random.Random(7)
    texts = [found.text for scene in scenes if (found := question(scene, "relation", rng)) is not None]
    for word in (" above ", " below ", " left of ", " right of "):
        assert sum(word in text for text in texts) > 0.15 * len(texts)


def test_mirrored_scene_swaps_words(scenes: list[Scene]) -> None:
    pair = next(scene for scene in scenes if len(scene.things) == 2)
    one, other = pair.things
    turned = pair.mirrored(True, True).things
    assert relation(*turned) == relation(other, one) != relation(one, other)


@pytest.mark.parametrize("text", ["Ünïcödé ☃ \x00 中", "RED circle", "a  b\n\tc", "😀" * 5])
def test_any_text_comes_back_in_lower_case(tokenizer: Tokenizer, text: str) -> None:
    assert tokenizer.decode(tokenizer.encode(text).ids) == text.lower()


def test_numbers_of_special_tokens(tokenizer: Tokenizer) -> None:
    assert [tokenizer.token_to_id(token) for token in ("<s>", "<pad>", "</s>", "<unk>")] == [0, 1, 2, 3]
    assert tokenizer.encode("<image>", add_special_tokens=False).ids == [image_token_id(tokenizer)]
    assert tokenizer.encode("red").ids[::2] == [0, 2]


def test_questions_as_typed_keep_their_words() -> None:
    rng = random.Random(1)
    for _ in range(50):
        assert "what is it" in spoken("What is it?", rng).lower()
    assert all(vocabulary_text())
