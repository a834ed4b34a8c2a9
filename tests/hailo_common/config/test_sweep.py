"""Kill, full disk, broken disk at every system call of `config render` and `config set`: old or new."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.sweep import WRITING, Driver, driver, sweep

__all__ = ["driver"]

OLD = "# mine\nport: 8081 # why\n"
NEW = "# mine\nport: 8082 # why\nlog_level: debug\n"


class Site:
    """A root folder with a configured service."""

    def __init__(self, root: Path, driver: Driver) -> None:
        self.root = root
        self.yaml = root / "etc/hailo/hailo-vision.yaml"
        self.driver = driver
        self.state: dict[str, dict[str, bytes]] = {}
        for name, text in (("old", OLD), ("new", NEW)):
            self.clear()
            self.yaml.parent.mkdir(parents=True)
            self.yaml.write_text(text)
            assert driver.run(self.render()) == 0
            self.state[name] = self.files()

    def render(self) -> list[str]:
        return [
            "config",
            "render",
            "hailo-vision",
            "--root",
            str(self.root),
            "--units",
            str(self.root / "units"),
        ]

    def clear(self) -> None:
        for entry in self.root.iterdir():
            shutil.rmtree(entry)

    def files(self, *, hidden: bool = True) -> dict[str, bytes]:
        found = (path for path in self.root.rglob("*") if path.is_file())
        return {
            path.relative_to(self.root).as_posix(): path.read_bytes()
            for path in found
            if hidden or not path.name.startswith(".")
        }

    def put(self, name: str) -> None:
        self.clear()
        for path, content in self.state[name].items():
            (self.root / path).parent.mkdir(parents=True, exist_ok=True)
            (self.root / path).write_bytes(content)

    def edited(self) -> None:
        """Rendered from the old YAML, which is now the new one."""
        self.put("old")
        self.yaml.write_text(NEW)

    def intact(self) -> None:
        """Every file is its old or its new self."""
        found = self.files(hidden=False)
        assert set(found) == set(self.state["old"])
        for path, content in found.items():
            assert content in (self.state["old"][path], self.state["new"][path]), path

    def is_new(self) -> None:
        assert self.files() == self.state["new"]

    def is_set(self) -> None:
        """The YAML is new, the rest still old."""
        assert self.files() == {**self.state["old"], "etc/hailo/hailo-vision.yaml": NEW.encode()}


def test_render(tmp_path: Path, driver: Driver) -> None:
    site = Site(tmp_path, driver)
    count = sweep(
        driver, site.render(), WRITING, prepare=site.edited, intact=site.intact, repaired=site.is_new
    )
    print(f"{count} faults")
    assert count > 50


def test_set(tmp_path: Path, driver: Driver) -> None:
    site = Site(tmp_path, driver)
    argv = ["config", "set", "hailo-vision", "port=8082", "log_level=debug", "--root", str(tmp_path)]
    count = sweep(
        driver, argv, WRITING, prepare=lambda: site.put("old"), intact=site.intact, repaired=site.is_set
    )
    print(f"{count} faults")
    assert count > 30
