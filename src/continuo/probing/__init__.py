"""Measuring a network by what goes through it: an agent that answers, a client that asks, tokens and budgets between them."""
