"""Boards: their hub, their agent, and the controllers that bring them to their declared state."""
