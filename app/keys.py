"""``python -m app.keys``: make an API key, or hash one; the service itself only ever knows hashes."""

from __future__ import annotations

import argparse
import hashlib
import secrets
import string
import sys
from typing import TYPE_CHECKING, Final

from app.config import REVIEWER_NAME

if TYPE_CHECKING:
    from collections.abc import Sequence

_KEY_BYTES: Final = 32
_MAX_KEY_CHARACTERS: Final = 4096
_VISIBLE_ASCII: Final = frozenset(string.ascii_letters + string.digits + string.punctuation)
_USAGE: Final = """
The key is shown only here. Its caller sends it as `X-API-Key: KEY` or as `Authorization: Bearer KEY`.
The hash goes into API_KEYS, for callers that classify and send feedback, or into ADMIN_API_KEYS, for those that may
also change which model serves, and erase tickets. What --reviewer NAME prints goes into REVIEWER_API_KEYS, for people
who see tickets and judge answers. Commas separate several. The service reads all three when it starts.
"""


def hash_key(key: str) -> str:
    """Return the SHA-256 of ``key`` in hexadecimal digits, the form that the settings take.

    A fast hash without salt is enough for keys of 256 random bits, which nobody can guess; it is not for passwords.
    """
    return hashlib.sha256(key.encode()).hexdigest()


def main(argv: Sequence[str] | None = None) -> int:
    """Print a new key and its hash, or the hash of a given key; return 0, or 2 for a key that no header can carry."""
    parser = argparse.ArgumentParser(prog="python -m app.keys", description="Make an API key and print its hash.")
    parser.add_argument("--hash", action="store_true", help="read a key from standard input and print only its hash")
    parser.add_argument(
        "--reviewer", type=_reviewer_name, metavar="NAME", help="print NAME:HASH, the form of REVIEWER_API_KEYS"
    )
    arguments = parser.parse_args(argv)
    prefix = f"{arguments.reviewer}:" if arguments.reviewer else ""
    if arguments.hash:
        return _print_hash(prefix)
    key = secrets.token_urlsafe(_KEY_BYTES)
    # What to do with them is for people; a script reads standard output.
    sys.stdout.write(f"key:  {key}\nhash: {prefix}{hash_key(key)}\n")
    sys.stdout.flush()
    sys.stderr.write(_USAGE)
    return 0


def _reviewer_name(text: str) -> str:
    if not REVIEWER_NAME.fullmatch(text):
        raise argparse.ArgumentTypeError(f'"{text}" is not 1 to 64 letters, digits, dots, dashes, underscores and @')
    return text


def _print_hash(prefix: str) -> int:
    # An argument would show in the list of processes and in the shell's history.
    line = sys.stdin.buffer.readline(_MAX_KEY_CHARACTERS + 2).decode("latin-1").rstrip("\r\n")
    if not 0 < len(line) <= _MAX_KEY_CHARACTERS or not _VISIBLE_ASCII.issuperset(line):
        expected = (
            f"1 to {_MAX_KEY_CHARACTERS} visible ASCII characters without a space, which is what a header carries"
        )
        sys.stderr.write(f"the key on standard input, of {len(line)} characters, is not {expected}\n")
        return 2
    sys.stdout.write(f"{prefix}{hash_key(line)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
