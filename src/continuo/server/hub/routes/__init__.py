"""The hub's routes, one module for each kind of thing."""
