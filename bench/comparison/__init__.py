"""A comparison of algorithms on a user's own network and samples: trained over seeds, drawn, and shown in a table. No claims.

A comparison is a folder, written by ``spikecost new comparison NAME`` and run by ``spikecost train NAME``:

    network.py         make_net() -> torch.nn.Module
    data.py            load() -> bench.comparison.samples.Samples
    comparison.toml    T, batch, epochs, seeds, optimizer, and the algorithms with their options
    results.jsonl      one training per line, written when it has ended; the same command goes on from there
    curves.svg/.json, front.svg/.json, README.md (its table)      generated from results.jsonl alone

| file | what is in it |
|---|---|
| samples.py | samples from arrays, PyTorch's data sets, event files, and the data sets of this suite |
| plan.py | comparison.toml, checked |
| train.py | one training: losses, accuracies, and the counted cost of a step |
| results.py | results.jsonl: which trainings are there, and which still hold |
| summary.py | means and intervals over seeds |
| curves.py, front.py | the figures |
| drawn.py | what they share |
| new.py | the files of a new comparison |
| run.py | train what is missing, and draw |
| command.py | the commands |
"""
