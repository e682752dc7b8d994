"""`from oslo_log import log as logging` gives the loggers of the standard library."""

from logging import CRITICAL, DEBUG, ERROR, INFO, WARNING, getLogger

__all__ = ["CRITICAL", "DEBUG", "ERROR", "INFO", "WARNING", "getLogger"]
