"""What was bought is delivered: a node in the consumer's cluster, or a namespace and credentials in the provider's."""
