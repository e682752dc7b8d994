"""MQTT: where a broker is, and one of our own where there is none."""
