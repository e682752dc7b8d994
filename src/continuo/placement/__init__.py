"""Which component goes where: pure functions over frozen data, and an exact solver in a process of its own."""
