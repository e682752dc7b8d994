"""The whole broker as one process: virtual nodes, the placing of pods, what is offered, and the networks between."""
