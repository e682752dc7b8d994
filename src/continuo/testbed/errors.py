"""What can go wrong with a testbed, each as one sentence."""

from __future__ import annotations


class TestbedError(Exception):
    """The testbed cannot do what was asked; the message is for the user."""

    __test__ = False  # not a test, though its name begins like one


class Missing(TestbedError):
    """A program or a privilege that this machine lacks."""


class Ended(TestbedError):
    """A process ended that should run."""


class NotReady(TestbedError):
    """Something did not become ready in time."""
