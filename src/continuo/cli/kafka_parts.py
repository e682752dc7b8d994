"""What of the operator and of backends goes through Kafka, put together."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from continuo.events.buffer import Buffer
from continuo.events.kafka import KafkaSink
from continuo.events.kafka_producer import KafkaProducer, quiet
from continuo.events.kafka_settings import KafkaSettings
from continuo.events.kafka_source import KafkaSource, Reading
from continuo.kube.port import Cluster
from continuo.orchestrator.backend.carrier import Carrier
from continuo.orchestrator.backend.control import Control
from continuo.orchestrator.backend.remote import Remote


@dataclass(slots=True)
class Parts:
    """What runs beside a controller, and what has to be closed after it."""

    sinks: list[KafkaSink] = field(default_factory=list)
    """Ways out for events."""
    remote: Remote | None = None
    """Who runs steps, where backends do."""
    beside: list[Callable[[], Awaitable[None]]] = field(default_factory=list)
    producers: list[KafkaProducer] = field(default_factory=list)

    async def close(self) -> None:
        """End the connections."""
        for producer in self.producers:
            await producer.close()


def operator_parts(settings: KafkaSettings, instance: str, management: Cluster, *, tasks: bool) -> Parts:
    """Of an operator: events out, commands of others in, and steps out and answers in where backends do the work."""
    quiet()
    sink, dead = KafkaSink(settings), KafkaProducer(settings)
    control = KafkaSource(
        settings, Reading((settings.topics.commands,), group=f"{settings.topics.prefix}-control"),
        Control(management).take, dead_letters=dead,
    )  # fmt: skip
    parts = Parts([sink], None, [control.run], [sink.producer, dead])
    if tasks:
        out = Buffer(sink)
        remote = parts.remote = Remote(instance, out)
        answers = KafkaSource(settings, Reading((settings.topics.tasks,), from_start=False), remote.take)
        remote.listening = answers.ready.is_set
        parts.beside += [out.run, answers.run]
    return parts


def backend_parts(settings: KafkaSettings, instance: str) -> tuple[Carrier, Parts]:
    """Of a backend: commands in, shared with others of its group, and answers out."""
    quiet()
    sink, dead = KafkaSink(settings), KafkaProducer(settings)
    out = Buffer(sink)
    carrier = Carrier(instance, out)
    reading = Reading(
        (settings.topics.commands,), group=f"{settings.topics.prefix}-backend",
        lane=lambda event: event.id, bury_unreadable=False,
    )  # fmt: skip
    commands = KafkaSource(settings, reading, carrier.take, dead_letters=dead)
    return carrier, Parts([], None, [out.run, commands.run], [sink.producer, dead])
