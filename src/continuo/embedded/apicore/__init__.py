"""The semantics of one cluster's API, as functions over its state; `embedded.api.ClusterApi` is their face."""
