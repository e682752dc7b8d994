"""The Helm add-on provider: HelmChartProxy to HelmReleaseProxy to a release in every selected cluster."""

from continuo.embedded.standins.helm.controller import HelmAddons

__all__ = ["HelmAddons"]
