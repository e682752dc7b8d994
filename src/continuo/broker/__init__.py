"""The brokers: a catalog of offers, and later an orchestrator and an aggregator over what was bought."""
