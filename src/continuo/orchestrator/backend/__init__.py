"""Operator and backend as two processes: what one decides the other carries out, told through a topic."""
