"""A testbed of real engines on one machine: what is needed, where it comes from, and how it runs and ends."""
