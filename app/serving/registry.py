"""Which model version is current: choose, load, verify, warm, then swap with one assignment.

``MODEL_VERSION`` beats the file ``ACTIVE``, and that beats the highest release. At the start the best version that can
be loaded serves. Later a refused version changes nothing but the ``degraded`` flag, whichever other versions are there.
"""

from __future__ import annotations

import ctypes
import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Final, Literal

from app.errors import ACTIVE_NOT_WRITABLE, MODEL_PINNED, MODEL_REFUSED, ServiceError
from app.models.artifacts import ArtifactError, ManifestCheck, trust_any_manifest
from app.models.classifier import TicketClassifier
from app.models.label_shares import NO_SHARES, Shares
from app.models.versions import VersionName
from app.serving.models_directory import Fingerprint, ModelsDirectory, View

logger = logging.getLogger(__name__)

ReloadResult = Literal["changed", "unchanged", "refused"]

_WARM_UP_TITLE = "Cannot sign in"
_WARM_UP_DESCRIPTION = "The sign-in page shows an error since this morning."
# The event loop lets go of the interpreter at each read and write, and gets it back only after this interval while
# another thread computes. At the usual 5 ms a loading thread would take nearly all of the time.
_SWITCH_SECONDS_WHILE_LOADING: Final = 0.00005


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A version that has answered at least once; a request reads it once and passes it on."""

    classifier: TicketClassifier
    version: str
    loaded_at: datetime

    @property
    def model_digest(self) -> str:
        """Return what tells this model and its thresholds from others that have the same version."""
        return self.classifier.digest

    @classmethod
    def load(
        cls, directory: Path, check_manifest: ManifestCheck = trust_any_manifest, *, shares: Shares = NO_SHARES
    ) -> LoadedModel:
        """Verify and load ``directory`` and predict once; raise ``ArtifactError`` when any of it fails."""
        classifier = TicketClassifier.load(directory, check_manifest, shares=shares)
        if f"v{classifier.version}" != directory.name:
            raise ArtifactError(f"{directory} holds version {classifier.version[:100]}, expected the one of its name")
        classifier.predict(_WARM_UP_TITLE, _WARM_UP_DESCRIPTION)
        _return_freed_memory()
        return cls(classifier, classifier.version, datetime.now(UTC))


def _return_freed_memory() -> None:
    """Give the system back what only loading needed; glibc would keep those megabytes for the next time."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


@dataclass(frozen=True, slots=True)
class ModelState:
    """What the registry holds at one moment.

    ``degraded`` says that a version which should serve was refused; ``reason`` says why, or why nothing is loaded.
    """

    model: LoadedModel | None = None
    degraded: bool = False
    reason: str = "no model was loaded yet"


class ModelRegistry:
    """Holds the current model; readers take ``state`` once, and see either the old or the new one, never a mixture.

    Everything that loads reads the disk and takes as long as a model needs, so it belongs in a thread, one at a time.
    """

    def __init__(
        self,
        base_dir: Path,
        *,
        pinned_version: str | None = None,
        check_manifest: ManifestCheck = trust_any_manifest,
        shares: Shares = NO_SHARES,
        on_change: Callable[[ModelState], None] = lambda _: None,
        on_reload: Callable[[ReloadResult], None] = lambda _: None,
    ) -> None:
        pinned = None if pinned_version is None else VersionName.parse(pinned_version)
        self._directory = ModelsDirectory(base_dir, pinned=pinned)
        self._check_manifest = check_manifest
        self._shares = shares
        self._on_change = on_change
        self._on_reload = on_reload
        self._refused: dict[VersionName, Fingerprint] = {}
        self._seen = View()
        self._retired: LoadedModel | None = None
        self.state = ModelState()

    @property
    def current(self) -> LoadedModel | None:
        return self.state.model

    @property
    def told_state(self) -> ModelState:
        """Return the state as callers may be told it: where the models directory is stays out of it."""
        return replace(self.state, reason=self._without_place(self.state.reason))

    @property
    def pinned(self) -> VersionName | None:
        return self._directory.pinned

    def available_versions(self) -> list[str]:
        """Return the versions in the models directory, highest first, verified or not. Reads the disk."""
        return [str(version) for version in self._directory.versions(warn=False)]

    def load(self) -> ModelState:
        """Make the best version current that can be loaded: the pinned one only, else any, the chosen one first."""
        self._refused = {}
        seen = self._directory.view(with_versions=True)
        candidates = self._directory.candidates()
        model, reasons = None, candidates.problems
        for version in candidates.versions:
            try:
                model = self._try(version)
            except ArtifactError as error:
                reasons.append(str(error))
            else:
                break
        reason = "; ".join(reasons) or ("" if model else self._nothing_there)
        # While nothing serves, any new version is worth a try; later a new one waits until it is asked for.
        self._become(
            ModelState(model, degraded=bool(reasons), reason=reason),
            seen if model is None else replace(seen, versions=()),
        )
        if model is None:
            logger.error("no model is loaded: %s", reason)
        return self.state

    def reload(self) -> ModelState:
        """Load from disk what should serve now; when it is refused, keep what serves and raise ``ServiceError`` (409).

        While nothing serves, anything that can be loaded will do, as at the start.
        """
        before = self.current
        if before is None:
            if self.load().model is None:
                raise self._refusal(self.state.reason)
            self._count_swap(before)
            return self.state
        self._refused = {}
        seen = self._directory.view(with_versions=False)
        try:
            model = self._load_first_choice()
        except ArtifactError as error:
            self._become(replace(self.state, degraded=True, reason=str(error)), seen)
            raise self._refusal(str(error)) from error
        self._become(ModelState(model, reason=""), seen)
        self._count_swap(before)
        return self.state

    def reload_everywhere(self) -> ModelState:
        """Do ``reload``, and have all that share the directory do so when they look at it next."""
        self._directory.call_for_reload()
        return self.reload()

    def activate(self, version: VersionName) -> ModelState:
        """Load ``version``, write it into ``ACTIVE`` for all that share the directory, and make it current.

        Raise ``ServiceError`` (409) and change nothing when ``MODEL_VERSION`` is set, when the version is refused, or
        when ``ACTIVE`` cannot be written, because other processes and the next start would then serve another one.
        """
        pinned, before = self._directory.pinned, self.current
        if pinned is not None:
            raise ServiceError(MODEL_PINNED, f"MODEL_VERSION is set to {pinned}, so no other can be activated.")
        seen, content = self._directory.view(with_versions=False), f"{version}\n".encode()
        try:
            model = self._load_version(version)
        except ArtifactError as error:
            raise self._refusal(str(error)) from error
        try:
            self._directory.active.write(version)
        except OSError as error:
            reason = f"{self._directory.active.path.name} cannot be written: {error.strerror}"
            logger.warning("a version was not activated: %s", reason)
            raise ServiceError(ACTIVE_NOT_WRITABLE, f"{reason}. The model that serves is the same as before.") from None
        if seen.active == content:
            # Nobody would see a change, but the files of the version may be others than those that they have loaded.
            seen = replace(seen, reload=self._directory.call_for_reload())
        self._refused = {}
        self._become(ModelState(model, reason=""), replace(seen, active=content))
        self._count_swap(before)
        return self.state

    def follow(self) -> None:
        """Reload when one is called for, or ``ACTIVE`` or the files of a refused version that should serve change."""
        self._retired = None
        if self._directory.view(with_versions=self.current is None, refused=self._refused) == self._seen:
            return
        try:
            self.reload()
        except ServiceError:
            logger.debug("what should serve is refused still")

    def _load_first_choice(self) -> LoadedModel:
        candidates = self._directory.candidates()
        if candidates.problems or not candidates.versions:
            raise ArtifactError("; ".join(candidates.problems) or self._nothing_there)
        return self._try(candidates.versions[0])

    @property
    def _nothing_there(self) -> str:
        return f"no version under {self._directory.path}"

    def _try(self, version: VersionName) -> LoadedModel:
        # Taken first, so that a repair during the attempt counts as one after it.
        fingerprint = self._directory.fingerprint(version)
        try:
            return self._load_version(version)
        except ArtifactError:
            self._refused[version] = fingerprint
            raise

    def _load_version(self, version: VersionName) -> LoadedModel:
        try:
            with _yielding_to_requests():
                return LoadedModel.load(
                    self._directory.directory_of(version), self._check_manifest, shares=self._shares
                )
        except (ArtifactError, OSError) as error:
            logger.warning("model version refused: %s", error, extra={"model_version": str(version)})
            raise ArtifactError(str(error)) from error

    def _become(self, state: ModelState, seen: View) -> None:
        is_new = state.model is not self.state.model
        if is_new:
            # Freeing a large model takes a while, so it must not happen in the request that uses it last.
            self._retired = self.state.model
        self.state = state
        self._seen = replace(seen, refused=MappingProxyType(dict(self._refused)))
        self._on_change(state)
        if is_new and state.model is not None:
            logger.info("model loaded", extra={"model_version": state.model.version, "degraded": state.degraded})

    def _refusal(self, reason: str) -> ServiceError:
        self._on_reload("refused")
        return ServiceError(MODEL_REFUSED, self._without_place(reason))

    def _without_place(self, reason: str) -> str:
        # Where the models directory is on this machine is nobody else's business.
        return reason.replace(f"{self._directory.path}/", "")

    def _count_swap(self, before: LoadedModel | None) -> None:
        now = self.current
        is_same = before is not None and now is not None and before.version == now.version
        self._on_reload("unchanged" if is_same else "changed")


@contextmanager
def _yielding_to_requests() -> Iterator[None]:
    usual = sys.getswitchinterval()
    sys.setswitchinterval(_SWITCH_SECONDS_WHILE_LOADING)
    try:
        yield
    finally:
        sys.setswitchinterval(usual)
