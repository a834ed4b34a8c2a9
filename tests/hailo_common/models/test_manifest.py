"""The manifest that is packaged, and what a manifest must not be."""

from __future__ import annotations

from pathlib import Path

import pytest

from hailo_common.config.paths import Paths
from hailo_common.errors import ConfigError
from hailo_common.models.export import manifest_of_folder
from hailo_common.models.manifest import load_catalogue, read_manifest
from hailo_common.models.store import Pin, Pins

TREE = Path(__file__).parents[3]
DIGEST = "0" * 64


def test_the_packaged_manifest() -> None:
    models = read_manifest(TREE / "models.manifest")
    assert {(model.service, model.backend) for model in models.values() if model.default} == {
        ("hailo-vision", "npu"),
        ("hailo-vision", "cpu"),
        ("hailo-florence", "cpu"),
    }
    assert {model.hailort for model in models.values() if model.service == "hailo-vision"} == {
        *("5.1.1", "5.2.0", "5.3.0", "5.4.0"),
        "",
    }
    for model in models.values():
        assert model.licence in ("Apache-2.0", "MIT")
        assert model.files[-1].path == "config.json" or model.format == "gguf"
        assert (model.memory and model.seconds) or model.name == "florence-2-base-hailo8"
        for file in model.files:
            # A moving branch is only bearable where the content is pinned at the first fetch.
            assert file.sha256 is None or "/main/" not in file.urls[0]
            assert file.sha256 is None or file.size
            assert file.expected < 3_300_000_000


def test_what_has_two_sources_is_stated_with_its_exact_size() -> None:
    models = read_manifest(TREE / "models.manifest")
    unstated = {(name, file.path) for name, model in models.items() for file in model.unstated}
    hefs = {(name, path) for name, path in unstated if path.endswith(".hef")}
    others = {name for name, _ in unstated - hefs}
    # One source has the Qwen3 model's generation settings.
    assert others == {
        *("qwen2-vl-2b-instruct-onnx", "florence-2-base-hailo8"),
        *("qwen3-vl-2b-instruct-hailo10h-5.3.0", "qwen3-vl-2b-instruct-hailo10h-5.4.0"),
    }
    assert models["qwen2-vl-2b-instruct-hailo10h-5.4.0"].files[0].size == 3_255_444_179
    assert sum(file.size or 0 for file in models["smolvlm-256m-instruct-gguf"].files) == 278_824_384


def test_hosts_that_a_file_without_checksum_may_come_from() -> None:
    models = read_manifest(TREE / "models.manifest")
    onnx = models["qwen2-vl-2b-instruct-onnx"].files[0]
    assert onnx.trusts("huggingface.co")
    assert onnx.trusts("cas-bridge.xethub.hf.co")
    for host in ("hf.co.example.org", "evilhf.co", "hf.co", "example.org", "dev-public.hailo.ai", ""):
        assert not onnx.trusts(host)


def manifest(**changes: str) -> str:
    values = {
        "service": "hailo-florence",
        "backend": "cpu",
        "licence": "MIT",
        "path": "config.json",
        "url": "https://example.org/config.json",
        "size": "12",
        "sha256": DIGEST,
        **changes,
    }
    keys = [*("service", "backend", "licence", "architecture", "hailort", "default")]
    keys += ["format", "loads_on", "memory_mb", "seconds"]
    entry = "".join(f"    {key}: {values[key]}\n" for key in keys if key in values)
    items = [
        f"{key}: {values[key]}" for key in values if key not in (*keys, "extra", "hosts") and values[key]
    ]
    hosts = f"hosts: {values['hosts']}\n" if "hosts" in values else ""
    return (
        f"schema: 1\n{hosts}models:\n  toy:\n{entry}    files:\n      - "
        + "\n        ".join(items)
        + "\n"
        + values.get("extra", "")
    )


BAD = [
    ("", ":1: not a mapping"),
    ("schema: 2\nmodels:\n", ":1: schema: must be 1"),
    ("schema: 1\nmodel: {}\n", ":2: model: unknown key; known are schema, hosts, models"),
    ("schema: 1\n", ":1: models: is missing"),
    ("schema: 1\nmodels: [a]\n", ":2: models: must be a mapping"),
    ("schema: 1\nmodels:\n  Bad Name:\n    service: x\n", ":4: 'Bad Name' is not a name"),
    ("schema: &a 1\n", ":1: anchors, aliases and tags are not supported"),
    ("a: " + "[" * 50 + "]" * 50, ":1: nested too deeply"),
    ("schema: [\n", ":2: "),
    ("schema: 1\nschema: 1\n", ":2: schema: given twice"),
    (manifest(backend="gpu"), ":5: backend: must be one of cpu, npu"),
    (manifest(backend="CPU"), ":5: backend: must be one of cpu, npu"),
    (manifest(default="yes"), ":7: default: must be true or false"),
    (manifest(size="1_2"), "size: must be an integer from 1 to"),
    (manifest(licence="[MIT]"), ":6: licence: must be one line of text"),
    (manifest(service="hailo-fetch"), ":4: service: must be a service"),
    (manifest(backend="npu"), "architecture: belongs to an npu model"),
    (manifest(architecture="hailo10h"), ":7: architecture: belongs to an npu model"),
    (manifest(hailort="new", backend="npu", architecture="hailo10h"), "hailort: must be a version"),
    (manifest(path="../x"), ":8: path: '../x' must be a relative path of plain names"),
    (manifest(path="/etc/passwd"), "path: '/etc/passwd' must be a relative path"),
    (manifest(path=".hidden"), "path: '.hidden' must be"),
    (manifest(path="a/b/c/d/e"), "path: 'a/b/c/d/e' must be"),
    (manifest(url="http://example.org/x"), "url: 'http://example.org/x' is not an https URL"),
    (manifest(url="https://u:p@example.org/x"), "url: 'https://u:p@example.org/x' is not an https URL"),
    (manifest(url="", sha256="unstated"), "url: is missing; only a file with a checksum can do without"),
    (manifest(sha256="ABC"), "sha256: must be 64 hexadecimal digits in lower case, or unstated"),
    (manifest(size="0"), "size: must be an integer from 1 to"),
    (manifest(size="-1"), "size: must be an integer"),
    (
        manifest(extra=f"      - path: config.json\n        sha256: {DIGEST}\n"),
        "files: config.json is listed twice",
    ),
    (
        manifest(extra=f"      - path: config.json/x\n        sha256: {DIGEST}\n"),
        "files: config.json is a file and a folder",
    ),
    (manifest(hosts="['*.*.org']"), "hosts: must be a list of at most 64 host names"),
    (manifest(format="pickle"), "format: must be one of gguf"),
    (manifest(loads_on="[new]"), "loads_on: must be a list of at most 64 versions such as 5.2.0"),
    (manifest(memory_mb="0"), "memory_mb: must be an integer from 1 to"),
    (manifest(seconds="long"), "seconds: must be a number from 0 to 3600"),
    (manifest(seconds="5.0"), "seconds: must be a number from 0 to 3600, written 5"),
    (manifest(extra="      - plain\n"), ":12: files: each must be a mapping"),
    (manifest(extra="    colour: red\n"), ":12: colour: unknown key"),
]


@pytest.mark.parametrize(("text", "message"), BAD, ids=range(len(BAD)))
def test_bad_manifests_name_file_line_and_key(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "x.manifest"
    path.write_text(text)
    with pytest.raises(ConfigError) as raised:
        read_manifest(path)
    assert str(raised.value).startswith(str(path))
    assert message in str(raised.value)


def test_the_base_of_the_bad_ones_is_good(tmp_path: Path) -> None:
    path = tmp_path / "x.manifest"
    path.write_text(manifest())
    assert list(read_manifest(path)) == ["toy"]


def test_additions_replace_and_broken_ones_are_told_together(tmp_path: Path) -> None:
    places = Paths(root=tmp_path, environ={})
    for name, text in (
        ("usr/share/hailo/models.manifest", manifest()),
        ("etc/hailo/models.d/10.manifest", manifest(licence="mine")),
        ("etc/hailo/models.d/note.txt", "no manifest"),
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert load_catalogue(places).find("toy").licence == "mine"
    for name in ("20", "30"):
        (tmp_path / f"etc/hailo/models.d/{name}.manifest").write_text("schema: 7\n")
    catalogue = load_catalogue(places)
    assert catalogue.find("toy").licence == "mine"
    with pytest.raises(ConfigError, match=r"(?s)left out: .*20\.manifest:1: schema.*30\.manifest:1: schema"):
        catalogue.find("other")
    (tmp_path / "usr/share/hailo/models.manifest").unlink()
    (tmp_path / "etc/hailo/models.d/10.manifest").unlink()
    with pytest.raises(ConfigError, match=r"(?s)20\.manifest:1: schema.*30\.manifest:1: schema"):
        load_catalogue(places)


def test_a_folder_describes_itself(tmp_path: Path) -> None:
    (tmp_path / "m/onnx").mkdir(parents=True)
    (tmp_path / "m/config.json").write_text("{}")
    (tmp_path / "m/onnx/a.onnx").write_bytes(b"\x08graph")
    (tmp_path / "m/.hidden").touch()
    fields = {"service": "hailo-florence", "backend": "cpu", "licence": 'Say: "what"', "hailort": ""}
    (tmp_path / "x.manifest").write_text(manifest_of_folder("mine", tmp_path / "m", fields))
    model = read_manifest(tmp_path / "x.manifest")["mine"]
    assert [(file.path, file.size) for file in model.files] == [("onnx/a.onnx", 6), ("config.json", 2)]
    assert model.licence == 'Say: "what"'
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match="no files"):
        manifest_of_folder("mine", tmp_path / "empty", {})


def test_pins_survive_and_broken_ones_are_told(tmp_path: Path) -> None:
    model = read_manifest(TREE / "models.manifest")["qwen2-vl-2b-instruct-onnx"]
    Pins(tmp_path).add(model, model.files[0], Pin(DIGEST, 5))
    assert Pins(tmp_path).find(model, model.files[0]) == Pin(DIGEST, 5)
    assert Pins(tmp_path).find(model, model.files[1]) is None
    (tmp_path / "pins.yaml").write_text("https://x:\n  sha256: abc\n  size: 1\n")
    with pytest.raises(ConfigError, match="needs sha256"):
        Pins(tmp_path)
