"""Identities where no SPIRE agent is there: a small certificate authority for one trust domain."""
