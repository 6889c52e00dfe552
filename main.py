"""The application for hosts that look for ``main:app`` at the root; it is made in ``app.main``."""

from app.main import app

__all__ = ["app"]
