"""Records from elsewhere: what is wrong with a results folder that somebody else measured, and taking it in. Imports no torch.

| file | what |
|---|---|
| metrics.py | the metrics and units that each probe measures |
| check.py | the problems of a folder, one line each, with the remedy |
| take.py | adds its records to those that are here |
"""
