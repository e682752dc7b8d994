"""Plugins on a board: what there shall be, the steps to it, and the processes in which they run."""
