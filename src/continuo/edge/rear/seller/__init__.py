"""The side that sells: its state is in objects only, so it may be killed between any two writes."""
