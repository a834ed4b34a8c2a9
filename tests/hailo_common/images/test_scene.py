"""The measure of scene change: what is light, noise or a shaken camera, and what is a thing.

`tests.bench.scenes` measures it on thousands of frames; here are the kinds.
"""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw

from hailo_common.images import scene
from hailo_common.images.scene import CELLS, FRAME, FRAME_BYTES, SIDE, Difference, FollowedScene, Scene
from tests.bench.scenes import Camera, Light, background, false_changes, found_changes, pixels_of, seen

GOOD = Camera(noise=3, quality=80, shake=0)
THRESHOLD = 0.015


def frame(image: Image.Image, light: Light | None = None, camera: Camera = GOOD, seed: int = 0) -> bytes:
    """What is seen of a picture."""
    rng = np.random.default_rng(seed)
    return seen(camera.frame((light or Light()).on(pixels_of(image)), rng))


@pytest.fixture(scope="module")
def room() -> Image.Image:
    return background(np.random.default_rng(7))


def distance(before: bytes, after: bytes) -> float:
    return Scene(before).compare(after).distance


@pytest.mark.parametrize(
    "light",
    [
        Light(),
        Light(gain=0.8),
        Light(gain=1.2, offset=6),
        Light(warmth=0.1),
        Light(side=0.15),
        Light(gain=0.85, warmth=-0.08, side=-0.12),
    ],
)
@pytest.mark.parametrize("camera", [GOOD, Camera(10, 35, 0), Camera(4, 60, 1)])
def test_light_noise_and_compression_are_no_change(room: Image.Image, light: Light, camera: Camera) -> None:
    assert distance(frame(room), frame(room, light, camera, 1)) < THRESHOLD / 2


@pytest.mark.parametrize("colour", [(200, 30, 30), (20, 20, 30), (240, 240, 240)])
@pytest.mark.parametrize("place", [(10, 10), (200, 20), (140, 150)])
def test_a_thing_of_two_percent_is_found_and_so_is_its_leaving(
    room: Image.Image, colour: tuple[int, int, int], place: tuple[int, int]
) -> None:
    other = room.copy()
    side = round((0.02 * room.width * room.height) ** 0.5)
    ImageDraw.Draw(other).rectangle((*place, place[0] + side, place[1] + side), fill=colour)
    covered = np.asarray(room.crop((*place, place[0] + side, place[1] + side)), np.float32).mean((0, 1))
    assert np.abs(covered - colour).max() > 30, "the test's own thing is hard to see"
    empty, full = frame(room), frame(other, Light(gain=1.1, warmth=0.03), seed=1)
    for found in (distance(empty, full), distance(full, empty)):
        assert THRESHOLD <= found < 0.06


def test_a_covered_camera_another_scene_and_another_light_are_changes(room: Image.Image) -> None:
    covered = Image.new("RGB", room.size, (90, 90, 90))
    another = background(np.random.default_rng(8))
    before = frame(room)
    assert distance(before, frame(covered)) > 0.5
    assert distance(before, frame(another)) > 0.3
    assert distance(before, frame(room, Light(gain=0.3))) == 1.0
    assert distance(frame(covered), before) > 0.3


def test_light_is_followed_however_far_it_goes(room: Image.Image) -> None:
    """A day, in small steps: the last frame is far from the first, none from the one before it."""
    scene, first = FollowedScene(frame(room)), Scene(frame(room))
    for step in range(60):
        now = frame(room, Light(gain=1 - step / 100), seed=step)
        assert scene.follow(now, THRESHOLD) < THRESHOLD
    assert first.compare(now).distance == 1.0


def test_what_creeps_is_found(room: Image.Image) -> None:
    """A thing that grows by little each frame, in light that moves meanwhile."""
    scene = FollowedScene(frame(room))
    for step in range(80):
        now = room.copy()
        ImageDraw.Draw(now).rectangle((60, 60, 60 + step, 60 + step // 2), fill=(230, 40, 200))
        if (
            scene.follow(frame(now, Light(gain=1 + 0.1 * np.sin(step / 8)), seed=step), THRESHOLD)
            >= THRESHOLD
        ):
            assert step * step / 2 < 0.08 * room.width * room.height
            return
    raise AssertionError("it grew to 4 % of the picture and was not seen")


def test_any_bytes_give_a_distance() -> None:
    rng = np.random.default_rng(3)
    frames = [
        bytes(FRAME_BYTES),
        b"\xff" * FRAME_BYTES,
        rng.bytes(FRAME_BYTES),
        b"\x00\xff" * (FRAME_BYTES // 2),
    ]
    for one in frames:
        for two in frames:
            assert 0 <= distance(one, two) <= 1
        assert distance(one, one) == 0
    assert (FRAME.width, FRAME.height) == (SIDE, SIDE)
    assert CELLS * 3 == FRAME_BYTES
    with pytest.raises(ValueError, match="expected 3072 bytes, not 3"):
        Scene(b"abc")


def test_the_bench_finds_what_it_promises() -> None:
    """A small part of what `tests.bench.scenes` measures."""
    wrong, _ = false_changes(120, THRESHOLD, np.random.default_rng(11))
    made, found, _ = found_changes(40, THRESHOLD, np.random.default_rng(12))
    assert wrong == 0
    assert found == made


def drifts(rng: np.random.Generator) -> list[np.ndarray]:
    """Ways in which no cell moves by more than four levels, each of (SIDE, SIDE, 3)."""
    shape, x = (SIDE, SIDE, 3), np.linspace(-4, 4, SIDE)
    halves = np.where(np.arange(SIDE) < SIDE // 2, -4, 4)
    return [
        rng.integers(-4, 5, shape),
        rng.choice([-4, 4], shape),
        np.full(shape, 4),
        np.broadcast_to(x.round()[:, None, None], shape),
        np.broadcast_to(halves[None, :, None], shape),
        np.broadcast_to(rng.choice([-4, 4], 3), shape),
    ]


@pytest.mark.parametrize("seed", range(8))
def test_a_picture_that_is_all_but_the_same_is_not_looked_at_further(
    monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """Looked at further it would come out the same, but for the dark, where noise passes for light."""
    rng = np.random.default_rng(seed)
    noise = rng.integers(0, 256, FRAME_BYTES, np.uint8).tobytes()
    for before in (frame(background(rng)), noise, bytes(FRAME_BYTES)):
        levels = np.frombuffer(before, np.uint8).reshape(SIDE, SIDE, 3).astype(int)
        for drift in drifts(rng):
            after = (levels + drift).clip(0, 255).astype(np.uint8).tobytes()
            assert Scene(before).compare(after) == Difference(0.0, 0.0)
            with monkeypatch.context() as patched:
                patched.setattr(scene, "_SAME", -1)
                assert Scene(before).compare(after).distance == 0 or not any(before)
