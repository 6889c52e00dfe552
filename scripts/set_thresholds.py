"""Change from which confidence on a model acts alone, without training it again: write a new version beside the old.

    python scripts/set_thresholds.py --target-precision 0.9
    python scripts/set_thresholds.py --from 1.2.0 --target-precision 0.9 --head priority
    python scripts/set_thresholds.py --set priority.Urgent.auto=0.8 --set "department.Tech Support.suggest=none"
    python scripts/set_thresholds.py --from-store

A precision is looked up in what the version knows of its confidences (``confidence_counts.json``). What was measured
of the decisions is counted again; weights and probabilities stay what they are, and so does ``report.html``, which
tells of the training. An existing version is never changed. ``--from-store`` goes by what people judged of the
answers of the version instead, each weighed by one over its chance of being judged; a label with too few judged answers
keeps its threshold.

The new version does not serve unasked: without ``--activate`` the one that serves today is written into ``ACTIVE`` of
the models directory, if that is not there, because the highest version would serve by itself otherwise.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from app.config import load_settings
from app.models.artifacts import ArtifactError, list_versions, verify, write_version
from app.models.versions import VersionName
from app.serving.active_version import ActiveVersion
from app.serving.registry import ModelRegistry

if TYPE_CHECKING:
    from app.training.files.judged_thresholds import JudgedChange

_EPILOG = """\
Numbers of --set are confidences between 0 and 1 with at most three decimals; "none" takes a threshold away.

Exit codes: 0 done, 1 the version does not verify or could not be written, 2 bad usage or input.
"""
_EXPECTED = 'such as priority.Urgent.auto=0.8, "department.Tech Support.suggest=none" or priority.Low.auto=none'
_SETTING = re.compile(r"([^.]+)\.(.+)\.(auto|suggest)=(none|0(?:\.\d{1,3})?|1(?:\.0{1,3})?)")


@dataclass(frozen=True, slots=True)
class Setting:
    """One threshold to set; ``None`` takes it away."""

    head: str
    label: str
    kind: str
    threshold: float | None


def main(argv: Sequence[str] | None = None) -> int:
    parser = _parser()
    arguments = parser.parse_args(argv)
    if arguments.set and arguments.from_store is not None:
        parser.error("--set and --from-store are two ways to choose; give one of them")
    if not (arguments.set or arguments.from_store is not None or arguments.target_precision is not None):
        parser.error("nothing to change: give --target-precision, --set or --from-store")
    if arguments.head and arguments.set:
        parser.error("--head goes with --target-precision and --from-store; --set names its head itself")
    versions = list_versions(arguments.models_dir)
    source = arguments.source or next(iter(versions), None)
    if source not in versions:
        wanted = "any version" if source is None else f"the version {source}"
        return _fail(f"{arguments.models_dir} does not have {wanted}", code=2)
    target = arguments.version or _next_patch(source, versions)
    directory = arguments.models_dir / target.directory_name
    if directory.exists():
        return _fail(f"{directory} exists; choose another --version", code=2)
    # What reads a version's counts needs SciPy, and mistakes should not have to wait for it.
    from app.training.files.new_thresholds import ThresholdError, with_thresholds  # noqa: PLC0415

    before = arguments.models_dir / source.directory_name
    try:
        if arguments.from_store is not None:
            judged = _by_judgements(before, arguments)
            files, summary = with_thresholds(
                before, str(target), change=judged.change, judged_for=judged.target_precisions
            )
            summary += judged.lines
        elif arguments.target_precision is None:
            change = {(s.head, s.label, s.kind): s.threshold for s in arguments.set}
            files, summary = with_thresholds(before, str(target), change=change)
        else:
            files, summary = with_thresholds(
                before, str(target), target_precision=arguments.target_precision, head=arguments.head
            )
        serving = _write(directory, files, target, activate=arguments.activate)
    except (ThresholdError, NoEvidenceError) as error:
        return _fail(str(error), code=2)
    except (ArtifactError, OSError) as error:
        return _fail(f"{directory} was not written: {error}", code=1)
    print("\n".join([*summary, f"wrote {directory}", serving]))
    return 0


class NoEvidenceError(Exception):
    """There is no store to choose from; the message says what to do."""


def _by_judgements(directory: Path, arguments: argparse.Namespace) -> JudgedChange:
    # Only who asks for it needs the packages of the store.
    from app.store.database import StoreUnavailableError  # noqa: PLC0415
    from app.store.existing import NoStoreError  # noqa: PLC0415
    from app.training.files.judged_thresholds import judged_change  # noqa: PLC0415
    from scripts.lib.judged_evidence import read_evidence  # noqa: PLC0415

    try:
        evidence = read_evidence(arguments.from_store, verify(directory).digest)
    except NoStoreError as error:
        raise NoEvidenceError(f"--from-store: {error}") from error
    except StoreUnavailableError as error:
        raise ConnectionError(f"--from-store: {error}") from error
    return judged_change(directory, evidence, target_precision=arguments.target_precision, head=arguments.head)


def _write(directory: Path, files: Mapping[str, bytes], version: VersionName, *, activate: bool) -> str:
    """Write the version and return a line on which one serves; ``ACTIVE`` is there before the new one is."""
    active = ActiveVersion(directory.parent)
    if activate:
        write_version(directory, files, force=False)
        active.write(version)
        return f"{version} serves from now on: {active.path} says so"
    how = f"to serve {version}, POST /model/activate, or write it into {active.path}"
    today = ModelRegistry(directory.parent).load().model
    if today is None or active.path.exists() or version < VersionName.parse(today.version):
        write_version(directory, files, force=False)
        return f"{today.version if today else 'no version'} serves as before; {how}"
    active.write(VersionName.parse(today.version))
    try:
        write_version(directory, files, force=False)
    except BaseException:
        active.path.unlink()
        raise
    return f"{today.version} serves as before: {active.path} says so from now on; {how}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="set_thresholds.py",
        description=__doc__,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--models-dir",
        type=Path,
        default=Path(os.environ.get("MODELS_BASE_DIR", "models")),
        metavar="DIR",
        help="where versions live (default: MODELS_BASE_DIR, %(default)s)",
    )
    parser.add_argument(
        "--from", dest="source", type=_version, metavar="X.Y.Z", help="version to start from (default: the highest)"
    )
    parser.add_argument(
        "--version", type=_version, metavar="X.Y.Z", help="version to write (default: the next free patch version)"
    )
    parser.add_argument("--head", help="the head whose thresholds are chosen (default: all)")
    parser.add_argument("--activate", action="store_true", help="serve the new version: write it into ACTIVE")
    parser.add_argument(
        "--from-store",
        nargs="?",
        const=load_settings().store_url,
        metavar="STORE_URL",
        help="choose by what people judged of the version's answers (default of the URL: STORE_URL), for the precision "
        "that each head promises, or for --target-precision",
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--target-precision", type=_share, metavar="P", help="how often acting alone must be right")
    what.add_argument(
        "--set", type=_setting, action="append", metavar="HEAD.LABEL.auto|suggest=P", help="one threshold; repeatable"
    )
    return parser


def _next_patch(source: VersionName, versions: Sequence[VersionName]) -> VersionName:
    taken = [v.patch for v in versions if (v.major, v.minor) == (source.major, source.minor)]
    return VersionName(source.major, source.minor, max(taken) + 1)


def _version(text: str) -> VersionName:
    try:
        return VersionName.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 < share < 1:
        raise argparse.ArgumentTypeError(f'"{text}" is not a number between 0 and 1, such as 0.9')
    return share


def _setting(text: str) -> Setting:
    match = _SETTING.fullmatch(text)
    if match is None:
        raise argparse.ArgumentTypeError(f'"{text}" is not HEAD.LABEL.auto|suggest=P, {_EXPECTED}')
    head, label, kind, threshold = match.groups()
    return Setting(head, label, kind, None if threshold == "none" else float(threshold))


def _fail(reason: str, *, code: int) -> int:
    sys.stderr.write(f"set_thresholds.py: {' '.join(reason.splitlines())}\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
