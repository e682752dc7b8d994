"""A real data path between clusters: sockets, pods that answer, and the translation of addresses that was decided."""
