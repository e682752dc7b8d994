"""The hub: what boards connect to, and an IoTronic-compatible service over them."""
