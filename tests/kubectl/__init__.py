"""The real kubectl, as its users meet the embedded engine with it."""
