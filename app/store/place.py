"""Whether the default place of the store can be written; an image without a volume serves without one."""

from __future__ import annotations

import logging
from pathlib import Path

from sqlalchemy.engine import make_url

logger = logging.getLogger(__name__)


def is_usable_by_default(url: str) -> bool:
    """Return whether the SQLite file of ``url`` can be made or written, its directory too; log it when not."""
    path = Path(make_url(url).database or "")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with path.open("ab"):
            pass
    except OSError as error:
        logger.warning(
            'nothing is kept: the default place "%s" cannot be written (%s); set STORE_URL, or STORE_URL=off',
            path,
            error.strerror,
        )
        return False
    path.chmod(0o600)
    return True
