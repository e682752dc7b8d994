"""What is known of the links' networks: latency and jitter of what Liqo measures, bandwidth by probers of our own."""
