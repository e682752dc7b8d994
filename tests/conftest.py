"""Properties are tried with the same examples in every run, and how long one takes fails nothing."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile("continuo", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("continuo")
