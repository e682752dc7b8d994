"""The catalog: offers, who may write and read them, who hears of changes, and what was bought."""
