"""Plugins import their base from below here."""
