"""The cheapest exact training step of a module within a budget."""
