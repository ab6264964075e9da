"""Runs of a plan on a SLURM cluster. Imports no torch, and submitit only when jobs are submitted.

    results/submissions/<id>/plan.json       what was submitted: settings, folders, and the cases of each job
    results/submissions/<id>/slurm.json      the jobs' ids
    results/submissions/<id>/machine.json    the kind of machine that its nodes are
    results/submissions/<id>/jobs/<number>/  records of one job, as in results/, and what it is doing (state.json)
    results/submissions/<id>/logs/           one log per job

Only one job writes into its folder, so that no two nodes append to one file. A merge job takes the records over into results/.

| file | what |
|---|---|
| settings.py | what the user says of the cluster, in a TOML file |
| shares.py | which cases go into one job |
| submission.py | the folder of a submission |
| kind.py | the kind of machine of the nodes of a partition |
| journal.py | what a job is doing, and its log |
| slurm.py | submission through submitit, and questions to SLURM |
| merge.py | records of jobs into results/ |
| status.py | the state of every case |
"""
