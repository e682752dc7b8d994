"""The four kinds of closed loops. Pure: what is seen and remembered in, what is decided out."""
