"""Who made a model version: the signature of its manifest, made and verified by the library ``model-signing``.

The signature is a file beside the manifest, a Sigstore bundle over the manifest's SHA-256 by an elliptic-curve key; the
manifest holds the SHA-256 of all other files. Only this file imports the library, and only those who sign import it.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, Final, cast

from model_signing.hashing import Config as Hashing
from model_signing.signing import Config as Signing
from model_signing.verifying import Config as Verifying

from app.models.artifacts import MANIFEST_NAME, ArtifactError, read_small

SIGNATURE_NAME: Final = "manifest.sig"
_MAX_SIGNATURE_BYTES: Final = 1 << 20


def sign_manifest(directory: Path, *, private_key: Path, password: bytes | None = None) -> None:
    """Write the signature of ``directory``; raise ``OSError``, ``TypeError`` or ``ValueError`` for an unfit key."""
    signing = Signing()  # type: ignore[no-untyped-call]
    # The library's annotation says str; the one that reads the key takes bytes.
    signing.use_elliptic_key_signer(private_key=private_key, password=cast("Any", password))
    signing.set_hashing_config(_hashing())
    with tempfile.TemporaryDirectory(prefix=".signature-", suffix=".partial", dir=directory.parent) as name:
        signature = Path(name) / SIGNATURE_NAME
        signing.sign(directory / MANIFEST_NAME, signature)
        signature.replace(directory / SIGNATURE_NAME)


class SignedManifestCheck:
    """Accepts the manifests that the owner of one private key has signed; a ``ManifestCheck`` of the artifacts."""

    def __init__(self, public_key: Path) -> None:
        self._public_key = public_key

    def __call__(self, directory: Path, content: bytes) -> None:
        """Raise ``ArtifactError`` unless ``content`` is what ``directory``'s signature was made for."""
        path = directory / SIGNATURE_NAME
        if not path.is_file():
            raise ArtifactError(f"{path} is missing: MODEL_PUBLIC_KEY is set, so every version must be signed")
        signature = read_small(path, max_bytes=_MAX_SIGNATURE_BYTES)
        # The library reads paths. It gets copies, so that what it checks is what is loaded.
        with tempfile.TemporaryDirectory(prefix="model-signature-") as name:
            copies = Path(name)
            (copies / MANIFEST_NAME).write_bytes(content)
            (copies / SIGNATURE_NAME).write_bytes(signature)
            try:
                self._verify(copies)
            except Exception as error:
                # The library says no in many ways: its own ValueError, those of its parsers, of the key's library.
                reason = str(error) or type(error).__name__
                raise ArtifactError(
                    f"{path} is no signature of {MANIFEST_NAME} by the key in MODEL_PUBLIC_KEY: {reason[:300]}"
                ) from error

    def _verify(self, copies: Path) -> None:
        verifying = Verifying()  # type: ignore[no-untyped-call]
        verifying.use_elliptic_key_verifier(public_key=self._public_key)
        verifying.set_hashing_config(_hashing())
        verifying.verify(copies / MANIFEST_NAME, copies / SIGNATURE_NAME)


def _hashing() -> Hashing:
    # Set, not guessed from the signature, so that nothing but SHA-256 counts.
    hashing = Hashing()  # type: ignore[no-untyped-call]
    return hashing.use_file_serialization(hashing_algorithm="sha256")
