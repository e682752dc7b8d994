"""What stands at the edge: leaf devices, simulated or driven: their readings are published, or kept meanwhile."""
