"""Threat D1 of tests/threats.md: what a client can learn of another from what is kept of requests."""

from __future__ import annotations

import os
import random
import statistics
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from PIL import ImageChops

from tests.hailo_common.images.make import encode, scene
from tests.hailo_florence.api.conftest import data_uri
from tests.hailo_florence.api.running import Running, started
from tests.hailo_vision.api.conftest import CHAT, MODEL
from tests.hailo_vision.conversations import FOLDERS

VICTIM, STRANGER, GATEWAY = "key-of-the-victim", "key-of-a-stranger", "key-of-the-gateway"
_OTHER_DIGITS = str.maketrans("0123456789", "5678901234")
ROUNDS = int(os.environ.get("HAILO_OWNERS_ROUNDS", "60"))
"""Conversations whose counts and times are compared; 1000 were, once."""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A real service with a random model, two keys, and the key of a gateway."""
    folder = tmp_path_factory.mktemp("keys")
    for name, keys in (("clients", [VICTIM, STRANGER]), ("gateway", [GATEWAY])):
        (folder / name).write_text("\n".join(keys))
        (folder / name).chmod(0o640)
    config = folder / "hailo-vision.yaml"
    config.write_text(
        f"model_dir: {FOLDERS['random-a']}\nthreads: 1\nmax_connections_per_peer: 200\n"
        f"api_key_file: {folder / 'clients'}\ngateway_key_file: {folder / 'gateway'}\n"
    )
    with started(("hailo_vision",), "--config", str(config)) as running:
        yield running


class Client:
    """Somebody with a key, or behind a gateway, who asks for one token at a time."""

    def __init__(self, service: Running, key: str, named: str = "") -> None:
        self._http = service.client
        self._headers = {"Authorization": f"Bearer {key}"} | ({"X-Hailo-Client": named} if named else {})

    def ask(self, text: str, *pictures: bytes) -> dict[str, Any]:
        """The whole answer to a question of one message."""
        parts: list[Any] = [
            {"type": "image_url", "image_url": {"url": data_uri(picture)}} for picture in pictures
        ]
        message = {"role": "user", "content": [*parts, {"type": "text", "text": text}]}
        body = {"model": MODEL, "messages": [message], "max_tokens": 1}
        reply = self._http.post(CHAT, json=body, headers=self._headers)
        assert reply.status_code == 200, reply.text
        value = dict(reply.json())
        value["headers"] = {name: reply.headers[name] for name in reply.headers if name != "x-request-id"}
        return value

    def cached(self, text: str, *pictures: bytes) -> int:
        """How many tokens are said to have been read before."""
        return int(self.ask(text, *pictures)["usage"]["prompt_tokens_details"]["cached_tokens"])


def recovered(client: Client, beginning: str, digits: int) -> str:
    """A code digit by digit: of ten guesses the true one goes on a token further."""
    code = ""
    for _ in range(digits):
        counts = {digit: client.cached(f"{beginning}{code}{digit}") for digit in "0123456789"}
        code += max(counts, key=lambda digit: counts[digit])
    return code


@pytest.mark.parametrize("code", ["4729", "8053"])
def test_the_rest_of_a_conversation_is_not_recovered(service: Running, code: str) -> None:
    beginning = f"Round {code[::-1]}. The code of my front door is "
    Client(service, VICTIM).ask(f"{beginning}{code}. Which of its digits is odd?")
    assert recovered(Client(service, STRANGER), beginning, 4) != code
    assert recovered(Client(service, VICTIM), beginning, 4) == code, "within one key the cache works"


def test_clients_behind_a_gateway_are_strangers_to_each_other(service: Running) -> None:
    one, other = Client(service, GATEWAY, "one"), Client(service, GATEWAY, "other")
    text = "A long beginning that only one of us has said."
    assert one.cached(text) < one.cached(text)
    first = other.cached(text)
    assert first == Client(service, GATEWAY, "third").cached(text) == 0
    assert Client(service, GATEWAY).cached(text) == 0


def test_only_a_gateway_is_believed_who_asks(service: Running) -> None:
    text = "Said by a client of the gateway."
    Client(service, GATEWAY, "one").ask(text)
    assert Client(service, STRANGER, "one").cached(text) < Client(service, GATEWAY, "one").cached(text)
    mine = "Said by a client with a key of its own."
    Client(service, STRANGER, "one").ask(mine)
    assert Client(service, STRANGER, "two").cached(mine) > 0, "with a key of its own the name says nothing"


def test_nobody_learns_whether_an_image_was_shown_before(service: Running) -> None:
    picture = encode(scene(64, 64), "PNG")
    Client(service, VICTIM).ask("Whose face is this?", picture)
    fresh = Client(service, GATEWAY, "fresh").ask("What is it?", picture)
    asked = Client(service, STRANGER).ask("What is it?", picture)
    assert asked["performance"]["cached_pictures"] == fresh["performance"]["cached_pictures"] == 0
    assert Client(service, VICTIM).ask("What is it?", picture)["performance"]["cached_pictures"] == 1


def test_what_others_ask_changes_neither_counts_nor_times(service: Running) -> None:
    """Two strangers ask alike, in digits that differ; the victim asks before what one of them will ask."""
    dice = random.Random(11)
    victim, first, second = (Client(service, GATEWAY, name) for name in ("v", "f", "s"))
    told: list[tuple[dict[str, Any], dict[str, Any]]] = []
    for number in range(ROUNDS):
        text = f"{number} {dice.choices('0123456789', k=40)}"
        image = scene(56 + dice.randrange(99), 60)
        image.putpixel((0, 0), (number % 256, number // 256, 0))
        picture, unlike = encode(image, "PNG"), encode(ImageChops.invert(image), "PNG")
        victim.ask(text, picture)
        mine = first.ask(text, picture)
        told.append((mine, second.ask(text.translate(_OTHER_DIGITS), unlike)))
    for mine, others in told:
        assert counts(mine) == counts(others)
    for part in ("prefill_ms", "vision_ms", "total_ms"):
        times = [[value["performance"][part] for value in values] for values in zip(*told, strict=True)]
        noise = ((2 * ROUNDS + 1) / (12 * ROUNDS * ROUNDS)) ** 0.5
        assert abs(chance_to_be_less(times[0], times[1]) - 0.5) < 4.5 * noise, part


def counts(value: dict[str, Any]) -> list[Any]:
    """What an answer counts, and its headers but those that differ in any two."""
    own = {"date", "content-length"}
    return [
        value["usage"],
        value["performance"]["cached_pictures"],
        {name: text for name, text in value["headers"].items() if name not in own},
    ]


def chance_to_be_less(these: Sequence[float], those: Sequence[float]) -> float:
    """How often one of these is less than one of those; 0.5 where nothing tells them apart."""
    return statistics.fmean((a < b) + (a == b) / 2 for a in these for b in those)
