"""Several conversations at once: joined between tokens, each with its own end, and none changes another."""

from __future__ import annotations

import pytest

from tests.hailo_vision.gguf.conftest import Load, Talk
from tests.hailo_vision.gguf.test_engine import QUESTIONS, scenes
from tests.hailo_vision.talk import question, vision_request

LONG = "Describe the image."


def test_answers_are_the_same_alone_and_in_company(load: Load, demo: object) -> None:
    talk = load(demo, max_num_seqs=4, conversation_cache_mb=0, picture_cache_mb=0)
    asked = [
        (vision_request(question(0, QUESTIONS[number % 3], max_tokens=40)), [picture])
        for number, picture in enumerate(scenes(8))
    ]
    alone = [talk.ask(*one).text for one in asked]
    together = []
    for start in (0, 4):
        numbers = [talk.begin(*one) for one in asked[start : start + 4]]
        together += [result.text for result in talk.finish(*numbers)]
    assert together == alone


def test_a_request_joins_while_another_writes_and_ends_before_it(talk: Talk) -> None:
    picture, other = scenes(2)
    fields = {"temperature": 2.0, "seed": 1, "max_tokens": 200, "logit_bias": {"772": -100, "770": -100}}
    long = talk.begin(vision_request(question(0, LONG, **fields)), [picture])
    while len(talk.open[long].texts) < 10:
        talk.step()
    short = talk.begin(vision_request(question(0, QUESTIONS[1])), [other])
    talk.finish(short)
    assert not talk.open[long].done
    assert talk.finish(long)[0].completion_tokens == 200


def test_a_cancelled_request_frees_its_place_and_disturbs_nobody(talk: Talk) -> None:
    pictures = scenes(3)
    expected = talk.ask(vision_request(question(0, LONG, max_tokens=40)), [pictures[0]]).text
    endless = {"max_tokens": 1500, "logit_bias": {"772": -100, "770": -100}}
    given_up = talk.begin(vision_request(question(0, LONG, **endless)), [pictures[1]])
    kept = talk.begin(vision_request(question(0, LONG, max_tokens=40)), [pictures[0]])
    while not talk.open[kept].texts:
        talk.step()
    talk.engine.cancel(given_up)
    told = len(talk.open[given_up].texts)
    third = talk.begin(vision_request(question(0, LONG, max_tokens=40)), [pictures[2]])
    assert talk.finish(kept, third)[0].text == expected
    assert len(talk.open[given_up].texts) == told


@pytest.mark.parametrize("steps", [0, 1, 2])
def test_a_request_can_be_given_up_at_any_time(talk: Talk, steps: int) -> None:
    number = talk.begin(vision_request(question(0, LONG)), scenes(1))
    for _ in range(steps):
        talk.step()
    talk.engine.cancel(number)
    assert talk.ask(vision_request(question(0, LONG)), scenes(1)).text


def test_a_follow_up_reads_only_what_is_new_and_branches_keep_both(load: Load, demo: object) -> None:
    talk = load(demo, max_num_seqs=3, picture_cache_mb=1)
    (picture,) = scenes(1)
    first = talk.ask(vision_request(question(0, QUESTIONS[0], max_tokens=40)), [picture])
    branch = talk.ask(vision_request(question(0, QUESTIONS[1], max_tokens=40)), [picture])
    assert 60 < branch.cached_tokens < branch.prompt_tokens
    again = talk.ask(vision_request(question(0, QUESTIONS[0], max_tokens=40)), [picture])
    assert again.cached_tokens == again.prompt_tokens - 1
    assert again.text == first.text


def test_a_long_prompt_does_not_keep_others_from_writing(talk: Talk) -> None:
    writing = talk.begin(
        vision_request(question(LONG, max_tokens=400, logit_bias={"772": -100, "770": -100}))
    )
    while len(talk.open[writing].texts) < 5:
        talk.step()
    reading = talk.begin(vision_request(question("red square " * 600, max_tokens=2)))
    seen = len(talk.open[writing].texts)
    while not talk.open[reading].texts:
        talk.step()
    assert len(talk.open[writing].texts) - seen >= 3
    talk.finish(reading, writing)
