"""Closed loops: what an orchestration's policies decide by themselves, and how that is carried out."""
