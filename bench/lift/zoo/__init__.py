"""SpikingJelly's model zoo and snnTorch's tutorial networks: what they cost, and whether the numbers are right."""
