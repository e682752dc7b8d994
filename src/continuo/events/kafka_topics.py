"""Topics are made where they are missing, if we may; one that is there stays as its owner made it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import TopicAlreadyExistsError, for_code

from continuo.events.kafka_settings import KafkaSettings

log = logging.getLogger(__name__)

REPLICAS = 3
"""Of a topic that is made, where there are so many brokers."""


async def ensure_topics(settings: KafkaSettings) -> Mapping[str, str]:
    """Make the topics that are missing; returns those that could not be made, with the reason.

    Raises KafkaError or TimeoutError when no broker answers.
    """
    options = await asyncio.to_thread(settings.options)
    async with asyncio.timeout(settings.timeout * 2):
        admin = AIOKafkaAdminClient(**options)
        try:
            await admin.start()
            there = set(await admin.list_topics())
            wanted = {name: config for name, config in settings.topics.configs().items() if name not in there}
            return await _create(admin, wanted, settings) if wanted else {}
        finally:
            await admin.close()


async def _create(
    admin: AIOKafkaAdminClient, wanted: Mapping[str, Mapping[str, str]], settings: KafkaSettings
) -> dict[str, str]:
    brokers = (await admin.describe_cluster())["brokers"]
    replicas = min(REPLICAS, max(1, len(brokers)))
    topics = [
        NewTopic(name, settings.partitions, replicas, topic_configs=dict(config)) for name, config in wanted.items()
    ]
    answer = await admin.create_topics(topics, timeout_ms=int(settings.timeout * 1000))
    failed: dict[str, str] = {}
    for name, code, message in answer.topic_errors:
        if code and for_code(code) is not TopicAlreadyExistsError:
            failed[name] = message or for_code(code).__name__
            log.warning("topic %s cannot be made: %s; let its owner make it", name, failed[name])
        elif not code:
            log.info("made topic %s: %d partitions, %d replicas", name, settings.partitions, replicas)
    return failed
