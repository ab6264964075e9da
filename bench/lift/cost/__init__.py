"""What training steps of a module cost."""
