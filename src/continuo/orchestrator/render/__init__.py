"""From the declared items to the Kubernetes objects that make them: pure functions, one module per target."""
