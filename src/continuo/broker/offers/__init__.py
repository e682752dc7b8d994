"""What providers sell: offers with plans, exact in quantities and prices."""
