"""FastAPI routers. Each is made by a function from what it needs, and can be served alone."""
