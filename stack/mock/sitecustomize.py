"""Lets kafka-python talk to librdkafka's mock broker. Only stack/mock_broker.py puts it on the path.

The mock broker supports neither the newest requests nor CreateTopics. It creates a topic at the first request for it.
"""

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer

for _client in (KafkaAdminClient, KafkaConsumer, KafkaProducer):
    _client.DEFAULT_CONFIG["api_version"] = (2, 3)

KafkaAdminClient.create_topics = lambda self, topics, **options: None
