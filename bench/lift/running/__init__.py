"""A module as a function with explicit state, and training steps of it."""
