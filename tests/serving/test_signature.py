"""With a public key only versions that its owner has signed are loaded."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

pytest.importorskip("model_signing", reason="comes with requirements-signing.lock")

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from app.models.artifacts import ArtifactError
from app.serving.registry import LoadedModel
from app.serving.signature import SignedManifestCheck
from scripts.sign_model import main
from tests.processes import ROOT, clean_environment

if TYPE_CHECKING:
    from tests.conftest import StartProcess, WriteModel


def write_keys(
    directory: Path,
    name: str,
    encryption: KeySerializationEncryption | None = None,
    curve: ec.EllipticCurve | None = None,
) -> tuple[Path, Path]:
    """Write a key pair, and return the files of the private and of the public key."""
    key = ec.generate_private_key(curve or ec.SECP256R1())
    private, public = directory / f"{name}.pem", directory / f"{name}.pub.pem"
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption()))
    public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return private, public


@pytest.fixture
def keys(tmp_path: Path) -> tuple[Path, Path]:
    return write_keys(tmp_path, "key")


@pytest.fixture
def signed(tmp_path: Path, write_model: WriteModel, keys: tuple[Path, Path]) -> Path:
    directory = write_model(tmp_path / "models", "1.0.0")
    assert main([str(directory), "--private-key", str(keys[0])]) == 0
    return directory


def test_a_signed_version_is_loaded(signed: Path, keys: tuple[Path, Path]) -> None:
    assert LoadedModel.load(signed, SignedManifestCheck(keys[1])).version == "1.0.0"
    assert [path.name for path in signed.parent.iterdir()] == ["v1.0.0"]


def forge(directory: Path, write_model: WriteModel) -> None:
    """Replace the model by another one that verifies, and keep the signature."""
    signature = (directory / "manifest.sig").read_bytes()
    write_model(directory.parent, "1.0.0", {"priority": ("Never", "Now")})
    (directory / "manifest.sig").write_bytes(signature)


def sign_with_another_key(directory: Path, _: WriteModel) -> None:
    private, _public = write_keys(directory.parent.parent, "stranger")
    main([str(directory), "--private-key", str(private)])


ALTERATIONS: dict[str, Callable[[Path, WriteModel], object]] = {
    "no signature": lambda directory, _: (directory / "manifest.sig").unlink(),
    "another model": forge,
    "another key": sign_with_another_key,
    "an empty signature": lambda directory, _: (directory / "manifest.sig").write_bytes(b""),
    "no bundle": lambda directory, _: (directory / "manifest.sig").write_text('{"a": []}'),
    "deep nesting": lambda directory, _: (directory / "manifest.sig").write_text("[" * 100_000),
    "a huge signature": lambda directory, _: (directory / "manifest.sig").write_bytes(b" " * (1 << 21)),
    "a space more": lambda directory, _: (directory / "manifest.json").write_bytes(
        (directory / "manifest.json").read_bytes() + b" "
    ),
}


@pytest.mark.parametrize("name", ALTERATIONS)
def test_what_is_not_signed_as_it_is_is_refused(
    signed: Path, keys: tuple[Path, Path], write_model: WriteModel, name: str
) -> None:
    ALTERATIONS[name](signed, write_model)

    with pytest.raises(ArtifactError, match=r"manifest\.sig"):
        LoadedModel.load(signed, SignedManifestCheck(keys[1]))


def test_the_signature_of_another_version_is_none(
    signed: Path, keys: tuple[Path, Path], write_model: WriteModel
) -> None:
    other = write_model(signed.parent, "1.1.0")
    shutil.copy(signed / "manifest.sig", other)

    with pytest.raises(ArtifactError, match=r"is no signature of manifest\.json"):
        LoadedModel.load(other, SignedManifestCheck(keys[1]))


def test_a_signed_version_under_another_name_is_refused(signed: Path, keys: tuple[Path, Path]) -> None:
    renamed = shutil.copytree(signed, signed.with_name("v9.0.0"))

    with pytest.raises(ArtifactError, match=r"holds version 1\.0\.0"):
        LoadedModel.load(renamed, SignedManifestCheck(keys[1]))


def test_the_librarys_own_command_makes_the_same_signature(
    tmp_path: Path, write_model: WriteModel, keys: tuple[Path, Path]
) -> None:
    directory = write_model(tmp_path / "models", "1.0.0")
    command = [sys.executable, "-m", "model_signing", "sign", "key", directory / "manifest.json"]
    options = ["--private_key", keys[0], "--signature", directory / "manifest.sig"]
    subprocess.run([*command, *options], check=True, capture_output=True)

    assert LoadedModel.load(directory, SignedManifestCheck(keys[1])).version == "1.0.0"


def test_a_version_that_does_not_verify_is_not_signed(
    tmp_path: Path, write_model: WriteModel, keys: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    directory = write_model(tmp_path / "models", "1.0.0")
    (directory / "idf.npy").unlink()

    assert main([str(directory), "--private-key", str(keys[0])]) == 1
    assert "idf.npy" in capsys.readouterr().err
    assert not (directory / "manifest.sig").exists()


def test_a_key_with_a_password_signs(
    tmp_path: Path, write_model: WriteModel, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = write_model(tmp_path / "models", "1.0.0")
    private, public = write_keys(tmp_path, "locked", BestAvailableEncryption(b"a password"))

    without = main([str(directory), "--private-key", str(private)])
    (tmp_path / "password").write_text("a password\n")
    options = ["--private-key", str(private), "--password-file", str(tmp_path / "password")]

    assert without == 2
    assert "--password-file" in capsys.readouterr().err
    assert main([str(directory), *options]) == 0
    assert LoadedModel.load(directory, SignedManifestCheck(public)).version == "1.0.0"


def test_a_key_that_cannot_sign_is_told(
    tmp_path: Path, write_model: WriteModel, keys: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    directory = write_model(tmp_path / "models", "1.0.0")

    for unfit in (keys[1], tmp_path / "nowhere.pem", write_keys(tmp_path, "odd", curve=ec.SECP256K1())[0]):
        assert main([str(directory), "--private-key", str(unfit)]) == 2
        assert str(unfit) in capsys.readouterr().err


def test_the_service_loads_only_what_is_signed(
    start_process: StartProcess, signed: Path, keys: tuple[Path, Path], write_model: WriteModel
) -> None:
    write_model(signed.parent, "1.1.0")

    process = start_process(MODELS_BASE_DIR=str(signed.parent), MODEL_PUBLIC_KEY=str(keys[1]), DRAIN_SECONDS="0")

    body = httpx.get(f"{process.base_url}/version").json()
    assert (body["model_version"], body["degraded"]) == ("1.0.0", True)
    assert "v1.1.0/manifest.sig is missing" in process.log()


@pytest.mark.parametrize("content", [None, b"", b"-----BEGIN PRIVATE KEY-----"])
def test_a_setting_that_names_no_public_key_ends_the_start_with_2_and_one_line(
    tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "key"
    if content is not None:
        path.write_bytes(content)

    result = subprocess.run(
        [sys.executable, "-m", "app"],
        cwd=ROOT,
        env=clean_environment(MODEL_PUBLIC_KEY=str(path)),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert result.returncode == 2
    assert result.stderr == f'MODEL_PUBLIC_KEY "{path}" is not a file with a public key in PEM form\n'
