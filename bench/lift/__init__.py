"""A user's own network, a ``torch.nn.Module`` written with SpikingJelly, snnTorch or plain PyTorch: what it is, and its steps.

| folder | what is in it |
|---|---|
| frameworks | what must be known of SpikingJelly and of snnTorch; which of them a module uses |
| recognition | a copy without storage; how the module treats time, its neurons and states, its synapses, what follows what |
| running | the module as a function with explicit state, and a training step of it by an algorithm of this suite |
| cost | what a training step costs, by every algorithm; largest batch and T; formulas; cosines; energy |
| fitting | the cheapest exact schedule within a budget, in time and in depth; SpikingJelly's optimiser beside it |
| zoo | SpikingJelly's model zoo and snnTorch's tutorial networks: their costs, checks and fronts, and the page of them |

Imports point from the lower rows to the upper ones.
"""
