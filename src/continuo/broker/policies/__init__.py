"""Which provider may run whose pods: pure, over frozen facts; every answer comes with its reasons."""
