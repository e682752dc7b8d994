"""The decisions, one module for each sort of item. All pure."""
