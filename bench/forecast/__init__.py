"""What the cases of a plan will take here, and which claims they decide: the order of a run that has a limited time.

Imports torch only to count a training step and to measure the rates of this machine.

| file | what |
|---|---|
| deciding.py | the cases that each claim needs |
| work.py | what a training step does, in numbers |
| counting.py | counts it on shapes alone |
| counted.py | keeps what was counted |
| rates.py | how fast this machine multiplies, moves bytes and starts operators |
| history.py | finished epochs, by kind of training |
| sizes.py | numbers of samples |
| forecast.py | seconds, memory and obstacles of a case, from the above |
| order.py | most claims decided per second first |
"""
