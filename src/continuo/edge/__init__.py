"""Sensors behind edge nodes: found, offered, traded, and delivered to who bought them."""
