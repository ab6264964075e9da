"""Kernels of the native backends, and their reference implementations in plain PyTorch."""
