"""The store, for routes that are nothing without it; if it cannot be used, ``StoreUnavailableError`` is the answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from app.errors import STORE_OFF, ServiceError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from app.store.store import Store


def store_of(state: Mapping[str, Any]) -> Store:
    """Return the store; raise ``ServiceError`` (503) when the service keeps nothing."""
    store: Store | None = state["store"]
    if store is None:
        raise ServiceError(STORE_OFF)
    return store
