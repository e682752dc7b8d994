"""CloudEvents: the ledger of tasks, the log of events, and the ways out of the process."""
