"""Events through Kafka: safe once every replica that counts has them, in order for each key.

The last event of each thing is also in a compacted topic, so that a reader who comes late learns how everything is.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from continuo.events.cloudevent import Event
from continuo.events.kafka_binding import Message, to_message
from continuo.events.kafka_producer import KafkaProducer, Letter
from continuo.events.kafka_settings import KafkaSettings, Topics
from continuo.events.types import parts_of

_DECIDED = ("decision.", "loop.", "slo.")
_THINGS = ("cluster.", "package.", "link.", "app.", "component.")
_GONE = frozenset({
    "cluster.delete.succeeded", "package.uninstall.succeeded", "link.remove.succeeded", "app.undeploy.succeeded",
})  # fmt: skip
"""After these there is nothing left to tell the state of."""


class KafkaSink:
    """A way out for events that ends in Kafka."""

    def __init__(self, settings: KafkaSettings, *, rng: random.Random | None = None) -> None:
        self.settings = settings
        self.producer = KafkaProducer(settings, rng=rng)

    @property
    def name(self) -> str:
        return "kafka"

    async def publish(self, events: Sequence[Event]) -> None:
        """Raises SinkUnavailable unless all are safe; what is offered again meanwhile is sent once."""
        topics, structured = self.settings.topics, self.settings.structured
        await self.producer.send([letter for event in events for letter in letters_of(event, topics, structured)])

    async def close(self) -> None:
        """End the connection."""
        await self.producer.close()


def topic_of(event: Event, topics: Topics) -> str:
    """The topic that an event belongs to."""
    operation, outcome = parts_of(event.type) or ("", "")
    if outcome == "requested" and operation.startswith(("command.", "step.")):
        return topics.commands
    return topics.decisions if f"{operation}.".startswith(_DECIDED) else topics.tasks


def letters_of(event: Event, topics: Topics, structured: bool = False) -> list[Letter]:
    """An event's messages: one, and another for the state of the thing that it is about. Pure."""
    message, topic = to_message(event, structured=structured), topic_of(event, topics)
    letters = [Letter(topic, message, (topic, event.source, event.id))]
    operation, outcome = parts_of(event.type) or ("", "")
    if topic == topics.tasks and event.subject and operation.startswith(_THINGS):
        key = f"{event.source}#{event.subject}".encode()
        gone = f"{operation}.{outcome}" in _GONE
        state = Message(key, None) if gone else Message(key, message.value, message.headers)
        letters.append(Letter(topics.state, state, (topics.state, event.source, event.id)))
    return letters
