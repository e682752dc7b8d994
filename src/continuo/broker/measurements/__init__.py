"""What the broker measures of providers itself: signed, with an age, and worth more than what they say of themselves."""
