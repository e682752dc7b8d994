"""How long things take in the simulated world, and which images cannot be pulled.

All durations are seconds of simulated time; `speed` divides them (2.0 is twice as fast). The defaults let a demo of
two clusters show its steps and still end within seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Flavor:
    """What a virtual machine of this flavor offers to pods."""

    cpu: int
    memory_mib: int
    disk_gib: int = 40


FLAVORS: Mapping[str, Flavor] = {
    "m1.tiny": Flavor(1, 2048, 10),
    "m1.small": Flavor(2, 4096, 20),
    "m1.medium": Flavor(4, 8192),
    "m1.large": Flavor(8, 16384, 80),
    "m1.xlarge": Flavor(16, 32768, 160),
}


@dataclass(frozen=True, slots=True)
class Settings:
    """The simulated world's constants."""

    speed: float = 1.0
    jitter: float = 0.3
    """Machines take up to this share longer, each differently, so that they appear one by one."""
    infrastructure: float = 0.4
    """Network, router, security groups and the API's floating IP of one OpenStack cluster."""
    bootstrap_data: float = 0.05
    vm_boot: float = 0.6
    vm_delete: float = 0.15
    bootstrap: float = 0.5
    """From a running server to a registered node."""
    helm_install: float = 0.3
    node_ready: float = 0.1
    image_pull: float = 0.15
    volume_create: float = 0.1
    pod_stop: float = 0.05
    endpoints_delay: float = 0.02
    """Changes of a Service's pods within this time become one write."""
    crash_backoff: float = 1.0
    eviction: float = 5.0
    """How long a node may be not ready before its pods are evicted (300 s in reality)."""
    lease_renewal: float = 60.0
    job_run: float = 0.5
    link_bandwidth: float = 1e9
    """Bits in a second that a link carries, as its probers would measure it."""
    pods_per_node: int = 110
    default_flavor: Flavor = Flavor(4, 8192)
    flavors: Mapping[str, Flavor] = field(default_factory=lambda: dict(FLAVORS))
    unpullable: tuple[str, ...] = ("does-not-exist", "unpullable")
    """An image whose name contains one of these cannot be pulled (ErrImagePull, ImagePullBackOff)."""
    events_per_owner: int = 3
    """Pods of one ReplicaSet (or other owner) beyond this many get no Scheduled/Pulled/Started events."""
    events_rate: float = 20.0
    events_burst: int = 200
    """Events about pods per second and cluster; what a large rollout would say beyond that is dropped."""
    events_kept: int = 1000
    """Events kept per cluster; the oldest go first."""

    def scaled(self, seconds: float) -> float:
        """Simulated seconds as the engine's seconds."""
        return seconds / self.speed
