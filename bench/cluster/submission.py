"""The folder of a submission, below results/submissions/; see the package's docstring for its files."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.case import Case
from bench.cluster.settings import Cluster
from bench.cluster.shares import Share
from bench.errors import UserError
from bench.files import write_whole
from bench.record_store import Store

FOLDER = "submissions"


@dataclass(frozen=True)
class Submission:
    """A submitted plan: its jobs by number, and the folders that they use. ``when``: ISO time of submission."""

    folder: Path
    code: Path  # the folder of the running packages
    scale: str
    cluster: Cluster
    shares: tuple[Share, ...]
    data_root: Path
    cache: Path | None  # None: the default of the node
    retry: bool
    when: str

    @property
    def id(self) -> str:
        """It is also the ``run`` of the records."""
        return self.folder.name

    @property
    def results(self) -> Path:
        """The results/ that the records are merged into."""
        return self.folder.parent.parent

    @property
    def logs(self) -> Path:
        return self.folder / "logs"

    @property
    def machine(self) -> Path:
        return self.folder / "machine.json"

    @property
    def job_name(self) -> str:
        return f"spikecost-{self.id}"

    def papers(self) -> list[str]:
        return sorted({case.paper for share in self.shares for case in share.cases})

    def job_folder(self, number: int) -> Path:
        return self.folder / "jobs" / f"{number:04}"

    def store(self, number: int) -> Store:
        """The records of one job; no other job writes there."""
        return Store(self.job_folder(number))

    def state(self, number: int) -> Path:
        return self.job_folder(number) / "state.json"

    def log(self, number: int) -> Path | None:
        """The log of a job, None if it was not submitted."""
        name = self.slurm_ids().get(number)
        return self.logs / f"{name}_0_log.out" if name else None

    def slurm_ids(self) -> dict[int, str]:
        """SLURM's id of each job, as 12_0, by number."""
        return {int(number): name for number, name in _json(self.folder / "slurm.json", {"jobs": {}})["jobs"].items()}

    def require_its_code(self, running: Path) -> None:
        """Raise UserError if a job runs the code of another folder than was submitted."""
        if running.resolve() != self.code.resolve():
            raise UserError(
                f"the job runs the code in {running}, submitted was that in {self.code}; set the environment of that folder up "
                "by `setup` or `python` in the settings of the cluster"
            )

    def write(self) -> None:
        content = {
            "code": str(self.code),
            "scale": self.scale,
            "cluster": self.cluster.as_dict(),
            "data_root": str(self.data_root),
            "cache": None if self.cache is None else str(self.cache),
            "retry": self.retry,
            "when": self.when,
            "jobs": [{"exclusive": share.exclusive, "cases": [case.as_dict() for case in share.cases]} for share in self.shares],
        }
        write_whole(self.folder / "plan.json", (json.dumps(content, indent=1) + "\n").encode())

    def write_slurm(self, jobs: Mapping[int, str], merge: str) -> None:
        write_whole(self.folder / "slurm.json", (json.dumps({"jobs": jobs, "merge": merge}, indent=1) + "\n").encode())

    @classmethod
    def read(cls, folder: Path) -> Submission:
        """Raises UserError for a folder that is damaged, or of another version."""
        try:
            content = _json(folder / "plan.json")
            return cls(
                folder=folder,
                code=Path(content["code"]),
                scale=content["scale"],
                cluster=Cluster.of(content["cluster"]),
                shares=tuple(Share(tuple(map(Case.of, job["cases"])), job["exclusive"]) for job in content["jobs"]),
                data_root=Path(content["data_root"]),
                cache=None if content["cache"] is None else Path(content["cache"]),
                retry=content["retry"],
                when=content["when"],
            )
        except (OSError, ValueError, KeyError, TypeError, UserError) as error:
            raise UserError(
                f"{folder} holds no submission that this version reads ({error}); remove it when its jobs have ended"
            ) from error


def submissions(results: Path) -> list[Submission]:
    """All submissions below results/, oldest first."""
    found = [Submission.read(path.parent) for path in (results / FOLDER).glob("*/plan.json")]
    return sorted(found, key=lambda each: each.when)


def latest_kind(found: Sequence[Submission], cluster: Cluster) -> Path | None:
    """The file with the kind of machine of the latest submission to the same nodes, if one of its jobs has run."""
    same = [each for each in found if _nodes(each.cluster) == _nodes(cluster) and each.machine.exists()]
    return same[-1].machine if same else None


def _nodes(cluster: Cluster) -> tuple[str, str, str]:
    return (cluster.partition, cluster.constraint, cluster.gpus)


def _json(path: Path, otherwise: dict[str, dict[str, str]] | None = None) -> dict:  # type: ignore[type-arg]
    if otherwise is not None and not path.exists():
        return otherwise
    content = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds no object")
    return content
