"""Real networks that nobody here wrote: what they cost, and whether the numbers are right."""
