"""Submission through submitit, and questions to SLURM. Imports submitit only to submit."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from bench.cluster.settings import Cluster
from bench.cluster.submission import Submission
from bench.errors import Unavailable, UserError
from bench.quantity import count_of

if TYPE_CHECKING:
    import submitit

MERGE_MINUTES = 60  # at most; merging takes seconds to minutes
_FEATURE = re.compile(r"[\w.-]+")


def require() -> None:
    """Raise Unavailable, before anything is planned, if jobs cannot be submitted from here."""
    try:
        import submitit  # noqa: F401
    except ImportError as error:
        raise Unavailable("--on needs submitit: pip install 'spikecost[slurm]'", missing="submitit") from error
    for command in ("sbatch", "squeue", "sinfo", "srun"):
        if shutil.which(command) is None:
            raise Unavailable(
                f"--on needs SLURM's command {command}, which is not on this machine: run it on a login node of the cluster"
            )


def require_one_kind(cluster: Cluster) -> None:
    """Raise UserError if SLURM says that the nodes of the partition are of several kinds. kind.py looks closer."""
    kinds = kinds_of_nodes(_output("sinfo", "--noheader", "--Node", "--format=%P|%n|%c|%G|%f"), cluster)
    if not kinds:
        chosen = f"partition {cluster.partition!r}" if cluster.partition else "default partition"
        where = f" with constraint {cluster.constraint!r}" if cluster.constraint else ""
        raise UserError(f"SLURM has no node in {chosen}{where}; sinfo lists the partitions")
    if len(kinds) > 1:
        named = "; ".join(f"{count_of(count, 'node')} with {what}" for what, count in kinds.most_common())
        raise UserError(
            f"partition {cluster.partition or '(default)'} has nodes of {len(kinds)} kinds: {named}. Records of different "
            "machines are not combined: name nodes of one kind, by a partition of theirs or a constraint"
        )


def kinds_of_nodes(listed: str, cluster: Cluster) -> Counter[str]:
    """Return the kinds of nodes, each in words, that jobs may run on, by sinfo's lines partition|node|CPUs|GRES|features.

    A constraint that is more than one feature is not followed: all nodes of the partition then count as one kind.
    """
    kinds: Counter[str] = Counter()
    single = _FEATURE.fullmatch(cluster.constraint)
    kind_of_gpu = cluster.gpus.rpartition(":")[0]
    for line in listed.splitlines():
        partition, _, cpus, gres, features = line.split("|")
        if partition.rstrip("*") != cluster.partition if cluster.partition else not partition.endswith("*"):
            continue
        if (single and cluster.constraint not in features.split(",")) or (kind_of_gpu and f":{kind_of_gpu}:" not in gres):
            continue
        devices = re.sub(r"\(S:[^)]*\)", "", gres)
        kinds[f"{cpus} CPUs" + (f" and {devices}" if devices != "(null)" else "")] += 1
    return Counter({"nodes": kinds.total()}) if kinds and cluster.constraint and not single else kinds


def submit(submission: Submission, work: Callable[[int], Callable[[], None]], merge: Callable[[], None]) -> str:
    """Submit the jobs, ``work(number)`` each, and a job ``merge`` that starts when they have ended; return the ids in words.

    If SLURM refuses one of the jobs, those submitted before are cancelled and a UserError has SLURM's reason.
    """
    ids: dict[int, str] = {}
    try:
        arrays = list(_arrays(submission))
        throttle = max(1, submission.cluster.at_once // len(arrays))  # of each array, so that together they keep to it
        for exclusive, numbers in arrays:
            executor = _executor(submission, exclusive, throttle)
            jobs = executor.submit_array([work(number) for number in numbers])
            ids |= {number: job.job_id for number, job in zip(numbers, jobs, strict=True)}
            submission.write_slurm(ids, "")
    except Exception as error:
        _cancel(_whole(ids))
        if not ids:
            shutil.rmtree(submission.folder)
        raise UserError(
            f"SLURM took no jobs: {_reason(error)}; change the settings of the cluster and repeat the command"
        ) from error
    told = f"{count_of(len(ids), 'job')} ({', '.join(_whole(ids))})"
    try:
        merging = _merging(submission, _whole(ids)).submit(merge).job_id
    except Exception as error:
        return f"{told}; no job to merge them ({_reason(error)}): repeat the command when they have ended"
    submission.write_slurm(ids, merging)
    return f"{told}, merged by job {merging}"


def queued(names: Sequence[str]) -> Mapping[str, str] | None:
    """Return the states ("PENDING", "RUNNING", ...) of the jobs of these names in SLURM's queue, by id; None without SLURM."""
    if shutil.which("squeue") is None:
        return None
    if not names:
        return {}
    listed = _output("squeue", "--noheader", "--array", f"--name={','.join(names)}", "--format=%i|%T")
    return dict(line.split("|", 1) for line in listed.splitlines() if "|" in line)


def _arrays(submission: Submission) -> list[tuple[bool, list[int]]]:
    """Job arrays: the numbers of their jobs, at most ``array_size`` each; those that need a whole node are apart."""
    size, found = submission.cluster.array_size, []
    for exclusive in (False, True):
        numbers = [number for number, share in enumerate(submission.shares) if share.exclusive == exclusive]
        found += [(exclusive, numbers[i : i + size]) for i in range(0, len(numbers), size)]
    return found


def _executor(submission: Submission, exclusive: bool, throttle: int) -> submitit.SlurmExecutor:
    cluster = submission.cluster
    executor = _plain(submission, submission.job_name, cluster.time)
    if exclusive:  # all cores of the node; their number need not be known here
        executor.update_parameters(exclusive=True, srun_args=["--cpu-bind=none"])
    else:  # srun does not take the number of cores over from sbatch
        executor.update_parameters(cpus_per_task=cluster.cpus, srun_args=[f"--cpus-per-task={cluster.cpus}"])
    if cluster.gpu_count:
        executor.update_parameters(gpus_per_node=cluster.gpus)
    if cluster.at_once:
        executor.update_parameters(array_parallelism=throttle)
    return executor


def _merging(submission: Submission, jobs: Sequence[str]) -> submitit.SlurmExecutor:
    executor = _plain(submission, f"{submission.job_name}-merge", min(submission.cluster.time, MERGE_MINUTES))
    executor.update_parameters(dependency=f"afterany:{':'.join(jobs)}")
    return executor


def _plain(submission: Submission, name: str, minutes: int) -> submitit.SlurmExecutor:
    import submitit

    cluster = submission.cluster
    executor = submitit.SlurmExecutor(submission.logs, max_num_timeout=cluster.timeouts, python=cluster.python or None)
    texts = {"partition": cluster.partition, "account": cluster.account, "qos": cluster.qos, "constraint": cluster.constraint}
    executor.update_parameters(
        job_name=name,
        time=minutes,
        signal_delay_s=cluster.warning_s,
        stderr_to_stdout=True,
        wckey=None,
        setup=list(cluster.setup),
        mem=cluster.memory or None,
        additional_parameters={("requeue" if cluster.requeue else "no-requeue"): True, **cluster.sbatch},
        array_parallelism=100_000,  # no limit: sbatch is always given one
        **{key: text for key, text in texts.items() if text},
    )
    return executor


def _whole(ids: Mapping[int, str]) -> list[str]:
    """SLURM's ids of whole job arrays, which are shorter than those of their jobs."""
    return sorted({name.partition("_")[0] for name in ids.values()})


def _cancel(jobs: Sequence[str]) -> None:
    if jobs:
        subprocess.run(["scancel", *jobs], capture_output=True, check=False)


def _reason(error: Exception) -> str:
    """SLURM's own words: the last line that says something."""
    lines = [line.strip() for line in str(error).splitlines() if "error:" in line]
    return lines[-1] if lines else str(error)


def _output(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    except (OSError, subprocess.SubprocessError) as error:
        said = (getattr(error, "stderr", "") or str(error)).strip()
        raise UserError(f"{command[0]} failed: {said}; repeat the command when SLURM answers") from error
