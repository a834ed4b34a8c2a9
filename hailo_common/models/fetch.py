"""Makes models complete: what is missing or wrong is linked, copied or downloaded, file by file.

Needs the store's lock. A file that fails does not stop the others, unless it is the disk that fails.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from hailo_common.files import size_text
from hailo_common.models.content import check_content
from hailo_common.models.download import Download, DownloadedFile, DownloadRequest, RetryPolicy
from hailo_common.models.http import TransferError, Web
from hailo_common.models.manifest import Catalogue, Model, ModelFile
from hailo_common.models.progress import Progress
from hailo_common.models.refused import Refused
from hailo_common.models.settings import FetchSettings
from hailo_common.models.sources import Extra, Source, UrlSource, sources
from hailo_common.models.store import Pin, Pins, Store, Trust, hash_file

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_FOR_GOOD = (errno.EACCES, errno.EPERM, errno.EROFS)

Accept = Callable[[Model, Sequence[ModelFile], bool], bool]
"""Whether an operator accepts files without a stated checksum as they arrive, from any place. With True
as the third argument a person may be asked, because without a yes they do not come at all."""


class NoRoomError(Exception):
    """The disk has too little space; the message says how much is missing."""


@dataclass
class Report:
    """What became of a fetch."""

    problems: list[str] = field(default_factory=list)
    incomplete: list[str] = field(default_factory=list)
    retry: bool = False
    """Another try may mend a problem."""
    undecided: int = 0
    """Problems that only a confirmation would end, which nobody has given yet."""

    @property
    def status(self) -> int:
        """0 all is there, 75 will be tried again, 78 a new try would not help."""
        if not self.problems:
            return os.EX_OK
        return os.EX_TEMPFAIL if self.retry else os.EX_CONFIG


class Fetcher:
    """Fetches into one store."""

    def __init__(
        self,
        *,
        store: Store,
        catalogue: Catalogue,
        settings: FetchSettings,
        web: Web,
        progress: Progress,
        accept: Accept,
        extra: Extra | None = None,
        policy: RetryPolicy | None = None,
    ) -> None:
        self._store, self._catalogue, self._settings = store, catalogue, settings
        self._web, self._progress, self._accept, self._extra = web, progress, accept, extra or Extra()
        self._policy = policy or RetryPolicy(tries=settings.tries)
        self._report = Report()
        self._pins, self._refused = Pins(store.root), Refused(store.root)
        self._again = self._rehash = False
        self._accepted: set[str] = set()

    def fetch(
        self,
        models: Iterable[Model],
        *,
        rehash: bool = False,
        again: bool = False,
        suspects: Container[str] = (),
    ) -> Report:
        """Complete these models. Needs the lock.

        `rehash` reads files again that are known to be good, of all models or of the `suspects` by name;
        `again` brings again what was refused before.
        """
        self._pins, self._refused, self._again = Pins(self._store.root), Refused(self._store.root), again
        models = list(models)
        self._progress.queue({model.name: model.expected for model in models})
        for model in models:
            before = len(self._report.problems)
            try:
                self._rehash = rehash or model.name in suspects
                self._fetch_model(model)
            except NoRoomError as error:
                self._fail(model, str(error), retry=True)
            except OSError as error:
                self._fail(model, _explain(error), retry=error.errno not in _FOR_GOOD)
            problems = [each.removeprefix(f"{model.name}: ") for each in self._report.problems[before:]]
            self._progress.over(model.name, "; ".join(problems[:2]))
        return self._report

    def _fetch_model(self, model: Model) -> None:
        self._store.sweep(model, self._parts(model))
        missing = [file for file in model.files if not self._is_good(model, file)]
        if not missing:
            self._complete(model)
            return
        have = sum(file.expected for file in model.files if file not in missing)
        self._progress.plan(model.name, model.expected, have)
        unstated = [file for file in missing if self._pins.digest(model, file) is None]
        if unstated and not self._may_come(model, unstated):
            self._refuse(model, unstated)
            return
        here = sum(part.stat().st_size for part in self._parts(model))
        self._make_room(model, max(0, sum(file.expected for file in missing) - here))
        failed = [file for file in missing if not self._fetch_file(model, file)]
        self._store.sweep(model, self._parts(model) if failed else set())
        if failed:
            self._fail(model, "still missing: " + ", ".join(map(_with_size, failed)), retry=False)
        else:
            self._complete(model)

    def _complete(self, model: Model) -> None:
        """Say so; what was set aside is not needed any more, whichever run it was that did not get here."""
        self._store.drop_asides(model)
        self._progress.say(f"{model.name}: complete")

    def _make_room(self, model: Model, wanted: int) -> None:
        """See that there is room; what was set aside gives way where there is none. Raises NoRoomError."""
        try:
            self._check_space(wanted)
        except NoRoomError:
            if not self._store.drop_asides(model):
                raise
            self._check_space(wanted)

    def _parts(self, model: Model) -> set[Path]:
        """The part files that may be continued: of the content that is expected, or of one still unknown."""
        kept: set[Path] = set()
        for file in model.files:
            digest, parts = self._pins.digest(model, file), self._store.parts(model, file)
            kept |= parts & {self._store.part(model, file, digest)} if digest else parts
        return kept

    def _is_good(self, model: Model, file: ModelFile) -> bool:
        digest = self._pins.digest(model, file)
        state = self._store.state(model, file, digest)
        if state == "missing" or digest is None:
            return False
        if state == "verified" and not self._rehash:
            return True
        found = "another size" if state == "wrong size" else hash_file(self._store.path(model, file))
        if found == digest:
            self._store.note(model, file, digest)
            return True
        self._store.set_aside(model, file)
        what = f"{found[:16]} instead of SHA-256 {digest[:16]}…"
        self._progress.say(
            f"{model.name}: {file.path}: not what it must be ({what}); it is set aside and fetched again"
        )
        return False

    def _restore(self, model: Model, file: ModelFile, digest: str) -> bool:
        """Take a file back that was set aside and is good after all: it was the reading that failed."""
        aside = self._store.aside(model, file)
        if not aside.is_file() or hash_file(aside) != digest:
            return False
        self._store.publish(aside, self._store.path(model, file))
        self._store.note(model, file, digest)
        self._progress.say(f"{model.name}: {file.path}: good after all, and back in its place")
        return True

    def _may_come(self, model: Model, files: Sequence[ModelFile]) -> bool:
        """Files without checksum come at an operator's word, else from their publisher if that may be."""
        strict = self._settings.require_stated_digests or self._settings.mirrors_only
        named = bool(self._extra.places or self._extra.folder)
        if self._accept(model, files, strict or named):
            self._accepted.add(model.name)
        elif named and not strict:
            self._progress.say(
                f"{model.name}: files without a stated checksum come from their publisher;"
                " --accept takes them from the place that you named"
            )
        return not strict or model.name in self._accepted

    def _refuse(self, model: Model, files: Sequence[ModelFile]) -> None:
        names = ", ".join(file.path for file in files)
        key = "require_stated_digests" if self._settings.require_stated_digests else "mirrors_only"
        self._fail(
            model,
            f"not fetched, because nobody states a checksum for {names}, and {key} is set. To accept what"
            f" arrives now, and nothing else later: hailo-ctl models fetch --accept {model.name}",
            retry=False,
        )
        self._report.undecided += 1

    def _fetch_file(self, model: Model, file: ModelFile) -> bool:
        """True when the file is there now."""
        digest = self._pins.digest(model, file)
        if digest is None and self._store.path(model, file).is_file() and self._take_found(model, file):
            return True
        if digest and (self._restore(model, file, digest) or self._link(model, file, digest)):
            return True
        request = DownloadRequest(
            *(self._store, model, file, digest, self._progress, self._check_space, self._refused)
        )
        return self._download(request)

    def _download(self, request: DownloadRequest) -> bool:
        model, file = request.model, request.file
        download = Download(request, self._policy)
        failures: list[tuple[str, bool]] = []
        anywhere = request.digest is not None or model.name in self._accepted
        known = request.digest is not None
        for source in sources(
            model, file, self._settings, self._web, self._extra, anywhere=anywhere, known=known
        ):
            if self._again:
                self._refused.forget(source.name, request.digest)
            try:
                self._keep(model, file, download.fetch(source), source)
                return True
            except TransferError as error:
                failures.append((f"{file.path}: {source.name}: {error}", error.retry != "never"))
            except OSError:
                self._drop_parts(model, file)
                raise
        for text, retry in failures or [(f"{file.path}: no place to fetch it from is known", False)]:
            self._fail(model, text, retry=retry)
        return False

    def _take_found(self, model: Model, file: ModelFile) -> bool:
        """Take a file that lies there, unless it came for another address that the manifest had before."""
        if self._store.noted(model, file) is None:
            return self._adopt(model, file)
        self._store.set_aside(model, file)
        self._progress.say(
            f"{model.name}: {file.path}: came from another address than the manifest names now;"
            " it is set aside and fetched again"
        )
        return False

    def _adopt(self, model: Model, file: ModelFile) -> bool:
        """Take a file that somebody put there."""
        path = self._store.path(model, file)
        try:
            check_content(file, path, model.hailort)
        except TransferError as error:
            self._fail(model, f"{path}: {error}", retry=False)
            return False
        trust: Trust = "accepted" if model.name in self._accepted else "found"
        self._pin(model, file, Pin(hash_file(path), path.stat().st_size, trust))
        return True

    def _link(self, model: Model, file: ModelFile, digest: str) -> bool:
        """Share the file with another model that has it."""
        for other in self._catalogue.models.values():
            for theirs in other.files if other.name != model.name else ():
                if self._pins.digest(other, theirs) != digest or self._store.noted(other, theirs) != digest:
                    continue
                # Links of one file are damaged together.
                if self._rehash and hash_file(self._store.path(other, theirs)) != digest:
                    continue
                part = self._store.part(model, file, digest)
                part.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
                part.unlink(missing_ok=True)
                try:
                    part.hardlink_to(self._store.path(other, theirs))
                except OSError:
                    continue
                self._store.publish(part, self._store.path(model, file))
                self._store.note(model, file, digest)
                self._progress.say(f"{model.name}: {file.path}: the same as {other.name}'s, shared")
                return True
        return False

    def _keep(self, model: Model, file: ModelFile, arrived: DownloadedFile, source: Source) -> None:
        part = self._store.part(model, file, arrived.sha256)
        if part != arrived.part:
            # Its content is known now. Renamed before it is pinned: a kill in between loses no byte.
            arrived.part.rename(part)
        if file.sha256 is None and self._pins.find(model, file) is None:
            # A further URL's bytes are this model's own: neither the first one's, nor changed with it.
            first = isinstance(source, UrlSource) and file.urls[:1] == (source.url,)
            url = file.urls[0] if first else ""
            self._pin(model, file, self._new_pin(model, arrived, source), url)
        self._store.publish(part, self._store.path(model, file))
        self._store.note(model, file, arrived.sha256)
        self._progress.arrived(arrived.size)
        self._progress.say(
            f"{model.name}: {file.path}: {size_text(arrived.size)}, SHA-256 {arrived.sha256[:16]}…"
        )

    def _new_pin(self, model: Model, arrived: DownloadedFile, source: Source) -> Pin:
        if model.name in self._accepted or not isinstance(source, UrlSource):
            return Pin(arrived.sha256, arrived.size, "accepted")
        return Pin(arrived.sha256, arrived.size, "first-use", urlsplit(source.url).hostname or "")

    def _pin(self, model: Model, file: ModelFile, pin: Pin, url: str = "") -> None:
        self._pins.add(model, file, pin, url)
        trust = self._pins.trust(model, file)
        self._progress.say(f"{model.name}: {file.path}: pinned to SHA-256 {pin.sha256} ({trust})")

    def _drop_parts(self, model: Model, file: ModelFile) -> None:
        with contextlib.suppress(OSError):
            for part in self._store.parts(model, file):
                part.unlink(missing_ok=True)

    def _check_space(self, wanted: int) -> None:
        keep = self._settings.keep_free_mb << 20
        free = self._store.free_bytes()
        if wanted > free - keep:
            raise NoRoomError(
                f"needs {size_text(wanted)} in {self._store.root}, where {size_text(free)} are free"
                f" and {size_text(keep)} are to stay free; make room for {size_text(wanted + keep - free)}"
            )

    def _fail(self, model: Model, text: str, *, retry: bool) -> None:
        self._report.problems.append(f"{model.name}: {text}")
        self._report.retry = self._report.retry or retry
        if model.name not in self._report.incomplete:
            self._report.incomplete.append(model.name)


def _explain(error: OSError) -> str:
    text = "the disk is full" if error.errno in _FULL else (error.strerror or str(error))
    return f"{error.filename}: {text}" if error.filename else text


def _with_size(file: ModelFile) -> str:
    return f"{file.path} ({size_text(file.expected)})" if file.expected else file.path
