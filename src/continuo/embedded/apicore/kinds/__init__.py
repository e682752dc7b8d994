"""The built-in kinds' own defaults, checks and side effects, one module per family."""
