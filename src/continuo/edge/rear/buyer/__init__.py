"""The side that buys: controllers that bring a Solver from a wish to readings, or to a node."""
