"""The HTTP face of the embedded engine: what kubectl and Kubernetes clients speak to."""
