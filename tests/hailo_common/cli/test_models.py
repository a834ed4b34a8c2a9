"""`hailo-ctl models` against a real web server."""

from __future__ import annotations

import contextlib
import hashlib
import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator

import pytest

from hailo_common.models.progress import Progress, Told
from tests.hailo_common.cli.conftest import TREE, Machine
from tests.hailo_common.models.depot import Depot, onnx, running

FILES = {"onnx/big.onnx": onnx(bytes(range(256)) * 100), "config.json": b"{}"}


@pytest.fixture
def depot() -> Iterator[Depot]:
    with running() as server:
        server.files = {f"toy/{path}": content for path, content in FILES.items()}
        yield server


@pytest.fixture
def site(machine: Machine, depot: Depot) -> Machine:
    """A machine that fetches `toy` from the depot."""
    lines = "".join(
        f"      - path: {path}\n        url: https://origin.invalid/{path}\n"
        f"        sha256: {hashlib.sha256(content).hexdigest() if path == 'config.json' else 'unstated'}\n"
        for path, content in FILES.items()
    )
    entry = "    service: hailo-florence\n    backend: cpu\n    licence: MIT\n    files:\n"
    machine.put("etc/hailo/models.d/toy.manifest", f"schema: 1\nmodels:\n  toy:\n{entry}{lines}")
    machine.put(
        "etc/hailo/hailo-fetch.yaml", f"mirror: {depot.url}\nmirrors_only: true\nkeep_free_mb: 0\ntries: 1\n"
    )
    for service, model in (("hailo-florence", "toy"), ("hailo-vision", "demo")):
        machine.put(f"etc/hailo/{service}.yaml", f"model: {model}\n")
    return machine


def test_list(machine: Machine) -> None:
    done = machine.ctl("models", "list")
    assert done.status == 0
    line = r"^florence-2-base-ft-onnx +hailo-florence +cpu +1\.09 GB +1\.6 GB +5 s +MIT +absent, wanted$"
    assert re.search(line, done.out, re.M)
    assert "florence-2-base-ft-onnx: hailo-florence uses it: the largest on the CPU that" in done.out
    assert "  is missing; fetch it: hailo-ctl models fetch florence-2-base-ft-onnx" in done.out
    assert "  checksums: 9 stated" in done.out
    rows = {row["name"]: row for row in machine.ctl("models", "list", "--json").json()}
    assert rows["florence-2-base-hailo8"]["unpinned"]
    assert rows["florence-2-base-ft-onnx"]["state"] == "absent"


def test_list_shows_how_far_a_fetch_is_what_is_trusted_and_what_is_wrong(site: Machine, depot: Depot) -> None:
    store = site.root / "var/lib/hailo-models"
    store.mkdir(parents=True)
    told = Told(Progress(), store)
    told.plan("toy", 1000, 410)
    assert "\n  is being fetched: 41 %" in site.ctl("models", "list").out
    told.over("toy", "the disk is full")
    assert "\n  could not be fetched: the disk is full" in site.ctl("models", "list").out
    assert site.ctl("models", "fetch", "--accept", "toy").status == 0
    site.put("etc/hailo/models.d/broken.manifest", "schema: 7\n")
    done = site.ctl("models", "list")
    assert "toy: hailo-florence uses it: its YAML names it\n  checksums: 1 accepted, 1 stated" in done.out
    assert "left out: " in done.err
    assert "broken.manifest:1: schema: must be 1" in done.err


def test_the_whole_life_of_a_model(site: Machine, depot: Depot) -> None:
    store = site.root / "var/lib/hailo-models"
    for words, status in ((["toy"], 78), (["--all-wanted"], 0)):
        refused = site.ctl("models", "fetch", *words)
        assert refused.status == status
        assert "toy: not fetched, because nobody states a checksum for onnx/big.onnx" in refused.err
    assert depot.requests == []
    fetched = site.ctl("models", "fetch", "--all-wanted", "--accept")
    assert (fetched.status, fetched.err) == (0, "")
    assert "toy: complete\n" in fetched.out
    assert (store / "toy/onnx/big.onnx").read_bytes() == FILES["onnx/big.onnx"]
    assert site.ctl("models", "fetch", "--all-wanted").status == 0
    digest = hashlib.sha256(FILES["onnx/big.onnx"]).hexdigest()
    assert f"toy/onnx/big.onnx: {digest}\n" in site.ctl("models", "pin").out
    assert site.ctl("models", "verify").out == "toy/onnx/big.onnx: good\ntoy/config.json: good\n"
    (store / "toy/onnx/big.onnx").write_bytes(b"\x08spoilt")
    bad = site.ctl("models", "verify", "toy")
    assert bad.status == 1
    assert "toy/onnx/big.onnx: BAD" in bad.out
    assert site.ctl("models", "fetch", "--verify", "toy").status == 0
    assert site.ctl("models", "verify").status == 0
    kept = site.ctl("models", "remove", "toy")
    assert (kept.status, kept.err) == (
        1,
        "hailo-ctl: toy: hailo-florence uses it: its YAML names it; --force removes it anyway\n",
    )
    assert "toy: 25.6 kB removed" in site.ctl("models", "remove", "--force", "toy").out
    assert sorted(path.name for path in store.iterdir()) == [".lock", "pins.yaml"]


def test_a_mirror_describes_only_what_is_as_it_came(site: Machine, depot: Depot) -> None:
    depot.files["other/config.json"] = b"{}"
    digest = hashlib.sha256(b"{}").hexdigest()
    site.put(
        "etc/hailo/models.d/other.manifest",
        "schema: 1\nmodels:\n  other:\n    service: hailo-florence\n    backend: cpu\n    licence: MIT\n"
        f"    files:\n      - path: config.json\n        sha256: {digest}\n",
    )
    folder = site.root / "mirror"
    assert site.ctl("models", "mirror", str(folder), "toy", "--accept").status == 0
    assert "  toy:\n" in (folder / "mirror.manifest").read_text()
    (folder / "toy/onnx/big.onnx").write_bytes(FILES["onnx/big.onnx"].swapcase())
    told = site.ctl("models", "mirror", str(folder), "other")
    assert told.status == 1
    assert f"toy is left out of mirror.manifest: {folder}/toy/onnx/big.onnx: its content does not" in told.err
    text = (folder / "mirror.manifest").read_text()
    assert "  other:\n" in text
    assert "toy" not in text
    assert site.ctl("models", "mirror", str(folder), "toy").status == 0
    assert "  toy:\n" in (folder / "mirror.manifest").read_text()


def test_a_terminal_that_cannot_show_a_character_gets_another_one(site: Machine) -> None:
    command = [sys.executable, "-m", "hailo_common.cli.main", "models", "fetch", "--accept", "toy"]
    environ = {**os.environ, "PYTHONIOENCODING": "latin-1:strict", "LC_ALL": "C", "PYTHONUTF8": "0"}
    done = subprocess.run(
        [*command, "--root", str(site.root)], cwd=TREE, capture_output=True, env=environ, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert re.search(rb"SHA-256 [0-9a-f]{16}\?\n", done.stdout)


def test_offline_it_says_what_is_missing(site: Machine, depot: Depot) -> None:
    depot.files.clear()
    done = site.ctl("models", "fetch", "--accept", "toy")
    assert done.status == 78
    assert "toy: still missing: onnx/big.onnx, config.json" in done.err
    assert (
        f"toy: config.json: {depot.url}/toy/config.json: does not have the file (HTTP status 404)" in done.err
    )
    site.put(
        "etc/hailo/hailo-fetch.yaml",
        "mirror: http://127.0.0.1:9\nmirrors_only: true\nkeep_free_mb: 0\ntries: 1\n",
    )
    done = site.ctl("models", "fetch", "--accept", "toy")
    assert done.status == 75
    assert "cannot be reached (tried 1 times)" in done.err


def test_when_never_only_a_person_fetches(site: Machine) -> None:
    with (site.root / "etc/hailo/hailo-fetch.yaml").open("a") as file:
        file.write("when: never\naccept_unstated: [toy]\n")
    (site.root / "var/lib/hailo-models/.damaged").mkdir(parents=True)
    (site.root / "var/lib/hailo-models/.damaged/toy").touch()
    done = site.ctl("models", "fetch", "--all-wanted")
    assert done.status == 0
    assert done.out.endswith("hailo-fetch.yaml says `when: never`; nothing is fetched\n")
    assert not list((site.root / "var/lib/hailo-models/.damaged").iterdir()), "or the unit starts it again"
    assert site.ctl("models", "fetch").status == 0
    assert site.ctl("models", "fetch").out == "toy: complete\n"


def test_what_a_service_says_of_damaged_files_is_looked_at(site: Machine) -> None:
    assert site.ctl("models", "fetch", "--accept", "toy").status == 0
    store = site.root / "var/lib/hailo-models"
    file = store / "toy/onnx/big.onnx"
    times = file.stat().st_mtime_ns
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    os.utime(file, ns=(times, times))
    (store / ".damaged").mkdir()
    for name in ("toy", "never-heard-of", "..%2f"):
        (store / ".damaged" / name).touch()
    done = site.ctl("models", "fetch", "--all-wanted")
    assert done.status == 0, done.err
    assert "toy: a service says that files of it are damaged" in done.out
    assert "toy: onnx/big.onnx: not what it must be" in done.out
    assert file.read_bytes() == FILES["onnx/big.onnx"]
    assert list((store / ".damaged").iterdir()) == []


def test_a_broken_configuration_leaves_no_request_behind(site: Machine) -> None:
    folder = site.root / "var/lib/hailo-models/.damaged"
    folder.mkdir(parents=True)
    (folder / "toy").touch()
    (site.root / "etc/hailo/hailo-fetch.yaml").write_text("nonsense: 1\n")
    assert site.ctl("models", "fetch", "--all-wanted").status == 78
    assert not list(folder.iterdir())


def test_a_pin_from_elsewhere(site: Machine, depot: Depot) -> None:
    digest = hashlib.sha256(FILES["onnx/big.onnx"]).hexdigest()
    assert site.ctl("models", "pin", "toy", "onnx/big.onnx", "0" * 64, "25601").status == 0
    assert "instead of 000000" in site.ctl("models", "fetch", "toy").err
    assert site.ctl("models", "pin", "toy", "onnx/big.onnx", digest, "25601").status == 0
    assert site.ctl("models", "fetch", "toy").status == 0
    assert site.ctl("models", "pin", "toy", "config.json", digest, "2").status == 2
    assert site.ctl("models", "pin", "toy", "onnx/big.onnx").status == 2


def test_a_folder_becomes_a_model_and_a_manifest_is_added(machine: Machine) -> None:
    folder = machine.root / "mine"
    for path, content in FILES.items():
        machine.put(f"mine/{path}", content)
    add = ("models", "add", "my-florence", "--folder", str(folder), "--service", "hailo-florence")
    assert "backend: is missing" in machine.ctl(*add).err
    assert not list((machine.root / "etc/hailo/models.d").iterdir())
    done = machine.ctl(*add, "--backend", "cpu", "--licence", "MIT")
    assert (done.status, done.err) == (0, "")
    assert (machine.root / "var/lib/hailo-models/my-florence/onnx/big.onnx").read_bytes() == FILES[
        "onnx/big.onnx"
    ]
    manifest = machine.put(
        "their.manifest",
        (machine.root / "etc/hailo/models.d/my-florence.manifest").read_text().replace("my-", "your-"),
    )
    assert machine.ctl("models", "add", str(manifest)).status == 0
    assert "your-florence" in machine.ctl("models", "list").out
    manifest.write_text("schema: 2\n")
    assert machine.ctl("models", "add", str(manifest)).status == 78
    assert machine.ctl("models", "add", "Not A Name", "--folder", str(folder)).status == 78


def test_a_gguf_model_with_its_projector_becomes_a_model(machine: Machine) -> None:
    model, projector = machine.put("a.gguf", b"GGUF model"), machine.put("b.gguf", b"GGUF projector")
    add = ("models", "add", "my-smolvlm")
    assert machine.ctl(*add, "--projector", str(projector)).status == 2
    assert machine.ctl(*add, "--file", str(model), "--folder", "/").status == 2
    missing = machine.ctl(*add, "--file", str(machine.root / "none"))
    assert (missing.status, "No such file" in missing.err) == (os.EX_NOINPUT, True)
    other = machine.put("c.gguf", b"no GGUF")
    assert "c.gguf: is no GGUF file" in machine.ctl(*add, "--file", str(other)).err
    done = machine.ctl(*add, "--file", str(model), "--projector", str(projector), "--licence", "MIT")
    assert (done.status, done.err) == (0, "")
    store = machine.root / "var/lib/hailo-models/my-smolvlm"
    assert (store / "model.gguf").read_bytes() == b"GGUF model"
    assert (store / "mmproj.gguf").read_bytes() == b"GGUF projector"
    assert re.search(r"^my-smolvlm +hailo-vision +cpu gguf ", machine.ctl("models", "list").out, re.M)
    machine.put("etc/hailo/hailo-vision.yaml", "model: my-smolvlm\n")
    assert "my-smolvlm: hailo-vision uses it" in machine.ctl("models", "list").out


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (("fetch", "florence-2-base-ft-onn"), 78, "did you mean florence-2-base-ft-onnx?"),
        (
            ("fetch", "--from", "ftp://x"),
            2,
            "--from ftp://x: neither an absolute path nor an http or https URL",
        ),
        (("fetch", "--folder", "/x"), 2, "--folder needs one MODEL"),
        (("remove", "nothing-like-it"), 78, "`hailo-ctl models list` shows all"),
        (("verify", "nothing-like-it"), 78, "no model is called"),
    ],
)
def test_errors(machine: Machine, words: tuple[str, ...], status: int, message: str) -> None:
    done = machine.ctl("models", *words)
    assert done.status == status
    assert message in done.err


@pytest.mark.parametrize(("typed", "status"), [(b"y\n", 0), (b"\n", 78), (b"\x04", 78)])
def test_a_terminal_is_asked(site: Machine, typed: bytes, status: int) -> None:
    command = [sys.executable, "-m", "hailo_common.cli.main", "models", "fetch", "--root", str(site.root)]
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, cwd=TREE, start_new_session=True
    )
    os.close(theirs)
    screen = b""
    with contextlib.suppress(OSError), os.fdopen(ours, "r+b", buffering=0) as terminal:
        while b"[y/N]" not in screen:
            screen += terminal.read(4096)
        terminal.write(typed)
        # Reading ends with an error when the last one has closed the other side.
        while block := terminal.read(4096):
            screen += block
    assert process.wait(60) == status
    assert b"toy: nobody states a checksum for" in screen
    assert (b"toy: complete" in screen) == (status == 0)
    assert site.ctl("models", "fetch", "toy").status == status


def test_without_rights_it_says_so(site: Machine, unprivileged: None) -> None:
    assert site.ctl("models", "fetch", "--accept").status == os.EX_NOPERM


def test_root_goes_on_as_the_owner_of_the_store(site: Machine) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give rights away")
    store = site.root / "var/lib/hailo-models"
    store.mkdir(parents=True)
    os.chown(store, 4242, 4242)
    for folder in (site.root, *site.root.parents[:4]):
        if folder.name.startswith("pytest") or folder.is_relative_to("/tmp/pytest-of-root"):
            folder.chmod(0o755)
    pid = os.fork()
    if pid == 0:
        status = 99
        try:
            status = site.ctl("models", "fetch", "--accept").status
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    owners = {path.stat().st_uid for path in store.rglob("*")}
    assert owners == {4242}


def shipped(machine: Machine) -> str:
    """A name of the packaged manifest."""
    return str(machine.ctl("models", "list", "--json").json()[0]["name"])


def their_manifest(machine: Machine, name: str, **more: str) -> str:
    """A stranger's manifest of one model."""
    fields = {"service": "hailo-vision", "backend": "cpu", "licence": "MIT", **more}
    lines = [f"    {key}: {value}" for key, value in fields.items()]
    file = f"    files:\n      - path: config.json\n        sha256: {'0' * 64}\n"
    text = f"schema: 1\nmodels:\n  {name}:\n" + "\n".join(lines) + f"\n{file}"
    return str(machine.put("their.manifest", text))


def test_a_strangers_manifest_takes_no_known_name_in_silence(machine: Machine) -> None:
    """Threat G2: it would have put other files in a shipped model's place."""
    manifest = their_manifest(machine, shipped(machine))
    done = machine.ctl("models", "add", manifest)
    assert (done.status, "--replace puts this one in its place" in done.err) == (78, True)
    assert not list((machine.root / "etc/hailo/models.d").glob("*"))
    assert machine.ctl("models", "add", manifest, "--replace").status == 0
    assert machine.ctl("models", "add", manifest).status == 0, "its own file may be written anew"


def test_a_strangers_manifest_becomes_no_default_in_silence(machine: Machine) -> None:
    manifest = their_manifest(machine, "theirs", default="true")
    done = machine.ctl("models", "add", manifest)
    assert (done.status, "--default allows it" in done.err) == (78, True)
    assert machine.ctl("models", "add", manifest, "--default").status == 0


def test_nothing_of_a_manifest_reaches_the_terminal_as_a_command(machine: Machine) -> None:
    manifest = their_manifest(machine, "theirs", about='"\\e]0;owned\\a\\e[2J"')
    done = machine.ctl("models", "add", manifest)
    shown = (
        machine.ctl("models", "list").out + machine.ctl("models", "list", "theirs").err + done.out + done.err
    )
    assert "\x1b" not in shown
    assert "\x07" not in shown


def test_a_strangers_folder_is_read_with_the_stores_rights(machine: Machine) -> None:
    """Threat G3: a file that its owner may not read is not described by root."""
    if os.geteuid():
        pytest.skip("only root goes on as another")
    store = machine.root / "var/lib/hailo-models"
    store.mkdir(parents=True)
    os.chown(store, 65534, 65534)
    for folder in [machine.root, *machine.root.parents]:
        if folder.stat().st_uid == 0 and not folder.stat().st_mode & 1:
            folder.chmod(folder.stat().st_mode | 0o711)
    machine.put("mine/config.json", "{}")
    machine.put("mine/secret.json", "{}").chmod(0o600)
    done = machine.ctl(
        *("models", "add", "toy", "--folder", str(machine.root / "mine"), "--service", "hailo-vision"),
        *("--backend", "cpu"),
    )
    assert done.status == 78
    assert "secret.json" in done.err
    assert not list((machine.root / "etc/hailo/models.d").glob("*"))
