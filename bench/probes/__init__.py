"""Probes: each file measures one thing.

| file | measures | on |
|---|---|---|
| cost.py | memory, multiplications and traffic of one training step | shapes only, at the paper's size |
| count.py | parameters; forward MACs by fvcore | real tensors, one sample |
| equivalence.py | whether spikes and gradients are equal on all backends | real tensors, small batch |
| gradient.py | cosine of the gradient to exact BPTT's, layer by layer | real data |
| train.py | accuracy, firing rate | real data, real training |
| events.py | statistics of event recordings | real and simulated recordings |
| clock.py | seconds of a training step | the real device, alternating with native BPTT |
| cuda_memory.py | CUDA's own peaks of one training step | a GPU |

cost.py uses tape.py, memory.py, macs.py and traffic.py; bench/datasets/real.py prepares the real samples.
"""
