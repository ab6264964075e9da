"""Kernels of the native backend, each beside its plain-torch reference."""
