from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from hailo_common.errors import InvalidParameter, ModelError
from hailo_common.inference.model_dir import ModelDir
from hailo_florence.model.generation import read_generation_config
from hailo_florence.model.prompt import CAPTION, Pieces, Prompts
from hailo_florence.protocol import TASKS
from tests.hailo_florence.cases import DATA, FOLDERS, with_settings

FOLDER = FOLDERS["random-a"]
PROMPTS = Prompts(ModelDir(FOLDER), read_generation_config(ModelDir(FOLDER)))
KNOWN = Tokenizer.from_file(str(FOLDER / "tokenizer.json"))
ADDED = sorted(token.content for token in KNOWN.get_added_tokens_decoder().values())
PIECES = [*ADDED, "<", ">", "<lo<loc_1>c_1>", "</", "s>", "<s", "<im", "age>", "\u200b", "＜s＞", " "]
hostile = st.lists(st.sampled_from(PIECES) | st.text(max_size=4), max_size=12).map("".join)


def normal(text: str) -> str:
    made: str = KNOWN.normalizer.normalize_str(text)
    return made


@settings(deadline=None)  # shared machines
@given(hostile)
@example("<s>")
@example("</s>")
@example("<loc_12>")
@example("<image>")
@example("<lo<loc_1>c_1>")
@example("</<s>s>")
@example("<|im_start|>system")
@example("<CAPTION>")
@example("<IMAGE></S>")
def test_questions_never_become_control_tokens(text: str) -> None:
    body = PROMPTS.encode("vqa", f"?{text}")[1:-1]
    assert PROMPTS.controls.isdisjoint(body)
    assert KNOWN.decode(body, skip_special_tokens=False).strip() == normal(f"<VQA>?{text}").strip()


@settings(deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=60).filter(lambda text: "<" not in text))
def test_harmless_questions_encode_as_the_tokenizer_does(text: str) -> None:
    assert PROMPTS.encode("vqa", f"a{text}") == KNOWN.encode(f"<VQA>a{text}").ids


def test_caption_prompt_is_the_sentence_with_bos_and_eos() -> None:
    assert PROMPTS.encode("caption") == KNOWN.encode(CAPTION).ids
    assert PROMPTS.encode("caption")[0] == 0
    assert PROMPTS.encode("caption")[-1] == 2


@pytest.mark.parametrize("question", [None, "", "  \n", 7, "\ud800"])
def test_questions_that_are_none(question: str | None) -> None:
    with pytest.raises(InvalidParameter) as caught:
        PROMPTS.encode("vqa", question)
    assert caught.value.param == "question"


PLACES = DATA / "florence-random-places"
PLACED = Prompts(ModelDir(PLACES), read_generation_config(ModelDir(PLACES)))
PLACED_KNOWN = Tokenizer.from_file(str(PLACES / "tokenizer.json"))


@pytest.mark.parametrize("task", [name for name, spec in TASKS.items() if spec.takes == "region"])
def test_a_region_is_four_location_tokens_in_the_sentence(task: str) -> None:
    ids = PLACED.encode(task, None, (0, 12, 345, 999))
    text = TASKS[task].prompt.format(input="<loc_0><loc_12><loc_345><loc_999>")
    assert ids == PLACED_KNOWN.encode(text).ids


@pytest.mark.parametrize("region", [None, (1, 2, 3), (1, 2, 3, 1000), (-1, 2, 3, 4)])
def test_regions_that_are_none(region: tuple[int, ...] | None) -> None:
    with pytest.raises(InvalidParameter) as caught:
        PLACED.encode("region_to_category", None, region)
    assert caught.value.param == "box"


@settings(deadline=None)
@given(hostile)
def test_a_text_never_becomes_a_place(text: str) -> None:
    body = PLACED.encode("open_vocabulary_detection", f"?{text}?")[1:-1]
    assert PLACED.controls.isdisjoint(body)


def test_unknown_task() -> None:
    with pytest.raises(InvalidParameter) as caught:
        PROMPTS.encode("<OD>")
    assert caught.value.param == "task"


def test_decoding_leaves_special_tokens_out() -> None:
    ids = KNOWN.encode("a red circle").ids
    assert PROMPTS.decode([2, *ids, 1, 1]) == "a red circle"
    assert PROMPTS.decode([0, 2]) == ""


def changed(tmp_path: Path, change: dict[str, object]) -> Prompts:
    folder = with_settings(FOLDER, tmp_path, {})
    path = folder / "tokenizer.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    return Prompts(ModelDir(folder), read_generation_config(ModelDir(folder)))


def test_truncation_and_padding_of_the_file_are_off(tmp_path: Path) -> None:
    cut = {"direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0}
    pad = {
        "strategy": {"Fixed": 500},
        "direction": "Right",
        "pad_to_multiple_of": None,
        "pad_id": 1,
        "pad_type_id": 0,
        "pad_token": "<pad>",
    }
    prompts = changed(tmp_path, {"truncation": cut, "padding": pad})
    question = "what is " * 30
    assert prompts.encode("vqa", question) == PROMPTS.encode("vqa", question)


def test_bos_and_eos_come_from_the_rules_without_a_post_processor(tmp_path: Path) -> None:
    assert changed(tmp_path, {"post_processor": None}).encode("caption") == PROMPTS.encode("caption")


def test_vqa_as_an_added_token_is_used_and_still_out_of_reach(tmp_path: Path) -> None:
    source = json.loads((FOLDER / "tokenizer.json").read_text())
    number = max(token["id"] for token in source["added_tokens"]) + 1
    token = {**source["added_tokens"][0], "id": number, "content": "<VQA>", "special": True}
    prompts = changed(tmp_path, {"added_tokens": [*source["added_tokens"], token]})
    assert prompts.encode("vqa", "a<VQA>b").count(number) == 1
    assert prompts.encode("vqa", "a")[1] == number


@pytest.mark.parametrize("content", ["{}", '{"model": {"type": "BPE"}}', "[1]", "<html>", ""])
def test_no_tokenizer(tmp_path: Path, content: str) -> None:
    folder = with_settings(FOLDER, tmp_path, {})
    (folder / "tokenizer.json").write_text(content)
    with pytest.raises(ModelError, match=r"tokenizer\.json"):
        Prompts(ModelDir(folder), read_generation_config(ModelDir(folder)))


@settings(deadline=None)  # shared machines
@given(st.lists(st.integers(0, PROMPTS.vocabulary - 1), max_size=40))
def test_pieces_are_the_whole_text(tokens: list[int]) -> None:
    pieces = Pieces(PROMPTS)
    given_out = [pieces.of(tokens[: count + 1]) for count in range(len(tokens))]
    whole = PROMPTS.decode(tokens)
    assert "".join(given_out) + pieces.rest(whole) == whole


def test_a_character_of_several_tokens_comes_whole() -> None:
    tokens = PROMPTS._data("Ünïcode 🚪 naïve")
    pieces = Pieces(PROMPTS)
    given_out = [pieces.of(tokens[: count + 1]) for count in range(len(tokens))]
    assert "\ufffd" not in "".join(given_out)
    assert "".join(given_out) + pieces.rest(PROMPTS.decode(tokens)) == PROMPTS.decode(tokens)
    assert "" in given_out
