"""The base of plugins and what they may ask of their board."""
