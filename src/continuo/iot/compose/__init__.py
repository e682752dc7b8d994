"""The composition function: one claim for clusters, networks and boards."""
