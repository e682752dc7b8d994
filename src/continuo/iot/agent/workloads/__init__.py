"""What a board computes: processes and containers, jobs and services, as the desired state says."""

from continuo.iot.agent.workloads.containers import Containers
from continuo.iot.agent.workloads.process import Processes
from continuo.iot.agent.workloads.workloads import Workloads

__all__ = ["Containers", "Processes", "Workloads"]
