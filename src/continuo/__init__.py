"""Continuo: the control plane for the federated computing continuum."""

__version__ = "0.1.0"
