"""What an operator in `continuo up` speaks to beside its clusters: Kafka for its events, a Prometheus for its loops."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from continuo.cli.failures import BadInput, Failed

if TYPE_CHECKING:
    from continuo.cli.kafka_parts import Parts
    from continuo.kube.port import Cluster
    from continuo.orchestrator.loops.figures_prometheus import Prometheus


@dataclass(frozen=True, slots=True)
class Outside:
    """Named on the command line; without logins, which `continuo operator` has."""

    kafka: str = ""
    prometheus: str = ""

    def arguments(self) -> list[str]:
        """The options that say it again."""
        named = {"--kafka": self.kafka, "--prometheus": self.prometheus}
        return [part for option, value in named.items() if value for part in (option, value)]

    def check(self) -> None:
        """Raises BadInput or Failed where it cannot be."""
        from continuo.events.kafka_settings import KafkaSettings
        from continuo.orchestrator.loops.figures_prometheus import Prometheus
        from continuo.resources.errors import BadRequest

        try:
            if self.kafka:
                KafkaSettings(_brokers(self.kafka))
            if self.prometheus:
                Prometheus(self.prometheus)
        except (BadRequest, ValueError) as error:
            raise BadInput(str(error)) from error
        if self.kafka:
            try:
                import aiokafka  # noqa: F401
            except ModuleNotFoundError as error:
                told = f"Kafka needs the Python package {error.name}; install it with: pip install 'continuo[kafka]'"
                raise Failed(told) from error

    def parts(self, management: Cluster) -> Parts | None:
        """What goes through Kafka; nothing is imported for it where nothing does."""
        if not self.kafka:
            return None
        from continuo.cli.kafka_parts import operator_parts
        from continuo.events.kafka_settings import KafkaSettings

        return operator_parts(KafkaSettings(_brokers(self.kafka)), "up", management, tasks=False)

    def figures(self) -> Prometheus | None:
        """Whom policies' queries are sent to."""
        if not self.prometheus:
            return None
        from continuo.orchestrator.loops.figures_prometheus import Prometheus

        return Prometheus(self.prometheus)


def _brokers(text: str) -> tuple[str, ...]:
    return tuple(broker.strip() for broker in text.split(",") if broker.strip())
