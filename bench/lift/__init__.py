"""A user's own network, a ``torch.nn.Module`` written with SpikingJelly, snnTorch or plain PyTorch: what it is, and its steps.

| file | what is in it |
|---|---|
| twin.py | a copy of a module that has shapes but no storage |
| frameworks.py | what must be known of a framework; which of them a module uses |
| spikingjelly.py, snntorch.py | what is known of each |
| trial.py | small runs on the copy: how often its neurons run in a call, what shapes they see, where an error occurs |
| timing.py | how the module treats time |
| connections.py | synapses that read spikes, chains of blocks, and state that no framework knows |
| recognise.py | all that together |
| forward.py | a sequence through the module as its author would run it |
| stepped.py | the module as a function with explicit state, for the algorithms of this suite |
| training.py | a training step by one of them |
| spikingjelly_ops.py | SpikingJelly's neurons on CPU tensors as they run on a GPU |
| subject.py | a copy of module and optimizer with a batch, ready to be counted |
| measure.py | what a training step costs |
| compare.py | what it costs by each algorithm |
| counts.py | counted training steps of any T and batch |
| peaks.py, limits.py | formulas for their peaks; the largest batch and T that fit |
| cosine.py | how far approximate gradients are from BPTT's |
| source.py, command.py, table.py | the commands ``spikecost measure`` and ``spikecost compare`` |
"""
