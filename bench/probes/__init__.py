"""Which question is asked: one file a question.

| file | question | on what |
|---|---|---|
| cost.py | memory, multiplications and traffic of one training step | shapes only, at the paper's size |
| count.py | parameters; forward MACs by fvcore | real tensors, one sample |
| equivalence.py | same spikes and gradients on every backend? | real tensors, small batch |
| gradient.py | cosine of the gradient to exact BPTT's, layer by layer | real data |
| train.py | accuracy, firing rate | real data, real training |
| events.py | what event recordings are like | real and simulated recordings |
| clock.py | seconds of a training step | the real device, in turns with native BPTT |
| cuda_memory.py | CUDA's own peaks of one training step | a GPU |

tape.py, memory.py, macs.py and traffic.py are what cost.py is made of; real.py prepares real samples.
"""
