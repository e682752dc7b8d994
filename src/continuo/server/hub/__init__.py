"""The hub's REST interface: IoTronic's API v1, and what Continuo has beside it."""
