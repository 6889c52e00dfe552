"""Sign a model version: write ``manifest.sig`` beside its manifest, for services with ``MODEL_PUBLIC_KEY``.

    openssl ecparam -name prime256v1 -genkey -noout -out model-key.pem
    openssl ec -in model-key.pem -pubout -out model-key.pub.pem
    python scripts/sign_model.py models/v1.2.0 --private-key model-key.pem

The command of the library ``model-signing`` makes the same signature: ``model_signing sign key MANIFEST --private_key
KEY --signature SIGNATURE``. This one compares every file with the manifest first.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from app.models.artifacts import MANIFEST_NAME, ArtifactError, verify

if TYPE_CHECKING:
    from collections.abc import Sequence

_EXTRA = "the package model-signing is missing: pip install -r requirements-signing.txt"


def main(argv: Sequence[str] | None = None) -> int:
    """Return 0 when the version is signed, 1 when it does not verify, 2 for bad usage or a key that cannot be used."""
    arguments = _parser().parse_args(argv)
    try:
        from app.serving.signature import SIGNATURE_NAME, sign_manifest  # noqa: PLC0415 - an optional package
    except ModuleNotFoundError:
        return _fail(_EXTRA, code=2)
    directory: Path = arguments.directory
    try:
        verify(directory)
    except ArtifactError as error:
        return _fail(f"not signed, because it does not verify: {error}", code=1)
    try:
        password = None if arguments.password_file is None else arguments.password_file.read_bytes().rstrip(b"\r\n")
        sign_manifest(directory, private_key=arguments.private_key, password=password)
    except (OSError, TypeError, ValueError) as error:
        return _fail(
            f"{arguments.private_key} cannot sign {directory / MANIFEST_NAME}: {error}; expected the PEM file of an "
            "elliptic-curve key (P-256, P-384 or P-521), and for a locked one --password-file",
            code=2,
        )
    print(f"signed {directory / SIGNATURE_NAME}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Sign a model version for services with MODEL_PUBLIC_KEY.")
    parser.add_argument("directory", type=Path, help="the version, such as models/v1.2.0")
    parser.add_argument("--private-key", type=Path, required=True, help="PEM file of an elliptic-curve private key")
    # Not on the command line, which every user of the machine can see.
    parser.add_argument("--password-file", type=Path, help="file with the password of the private key, if it has one")
    return parser


def _fail(message: str, *, code: int) -> int:
    print(message, file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
