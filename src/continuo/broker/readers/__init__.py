"""Readers of resources: what a cluster may use, measured, reserved, filtered, capped, summed up, and asked for over gRPC."""
