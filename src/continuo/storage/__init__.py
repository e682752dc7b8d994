"""One thread that writes to SQLite or PostgreSQL; what is read often is in its users' memory."""
