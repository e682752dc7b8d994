"""The transparent orchestrator: the scheduler of consumers' pods, which binds them to providers that policies allow."""
