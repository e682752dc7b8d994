"""The same class under its earlier name."""

from ..modules.plugins.Plugin import Plugin  # noqa: TID252

__all__ = ["Plugin"]
