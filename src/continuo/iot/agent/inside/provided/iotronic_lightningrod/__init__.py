"""What plugins in Lightning-rod's format import, so that they run here as they are."""

__version__ = "0.5.0"
