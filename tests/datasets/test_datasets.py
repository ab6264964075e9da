"""Loading data sets: registry, checksums, layouts, real files if they exist, subsets."""

from __future__ import annotations

import gzip
import hashlib
import importlib.util
import os
import pickle
import subprocess
import sys
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from bench import datasets
from bench.case import Case
from bench.datasets import cifar, fashion_mnist
from bench.datasets.cifar import CIFAR10, CIFAR100, Cifar, unpickled
from bench.datasets.real import RealData
from bench.errors import UserError

REPOSITORY = Path(__file__).parents[2]


def md5(contents: bytes) -> str:
    return hashlib.md5(contents, usedforsecurity=False).hexdigest()


# --------------------------------------------------------------------------- registry


def test_names_imports_no_heavy_library():
    code = (
        "import sys; from bench import datasets; [datasets.available(n, '/') for n in datasets.names()];"
        "print({'torch', 'numpy', 'sklearn', 'pooch', 'tonic', 'filelock'} & set(sys.modules))"
    )
    out = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "set()"


@pytest.mark.parametrize("name", datasets.names())
def test_modules_of_the_registry_exist(name):
    assert importlib.util.find_spec(datasets.module_name(name)) is not None


def test_fallback_is_available_without_files(tmp_path):
    assert datasets.available(datasets.fallback(), tmp_path)


def test_load_suggests_close_names_for_an_unknown_one():
    with pytest.raises(UserError, match=r"unknown data set 'cifar-10': did you mean .*cifar10"):
        datasets.load("cifar-10")


@pytest.mark.parametrize("name", [name for name in datasets.names() if not datasets.available(name, "/")])
def test_missing_data_error_has_a_remedy_without_a_path(name, tmp_path):
    support = datasets.available(name, tmp_path)
    assert not support
    assert "SPIKECOST_DATA_ROOT" in support.reason
    assert str(tmp_path) not in support.reason
    with pytest.raises(UserError, match="missing and downloading was refused"):
        datasets.load(name, tmp_path, download=False)


# --------------------------------------------------------------------------- CIFAR, small and complete


def batch_file(data: np.ndarray, **lists: list[int]) -> bytes:
    return pickle.dumps({"data": data, **lists}, protocol=3)


@pytest.fixture
def small(tmp_path) -> tuple[Cifar, Path, np.ndarray]:
    """A data set of three files in CIFAR-10's layout, with random pixels and correct checksums."""
    pixels = np.random.default_rng(0).integers(256, size=(3, 4, 3072), dtype=np.uint8)
    folder = tmp_path / CIFAR10.folder
    folder.mkdir()
    sums = {}
    for i, name in enumerate(("data_batch_1", "data_batch_2", "test_batch")):
        contents = batch_file(pixels[i], labels=[i, 1, 2, 9])
        (folder / name).write_bytes(contents)
        sums[name] = md5(contents)
    test = {"test_batch": sums.pop("test_batch")}
    return replace(CIFAR10, train=sums, test=test), tmp_path, pixels


def test_cifar_joins_batches_in_order(small):
    source, root, pixels = small
    images = source.load(root, False, root / "prepared")
    assert torch.equal(images.train_x, torch.from_numpy(pixels[:2].reshape(8, 3, 32, 32)))
    assert torch.equal(images.test_x, torch.from_numpy(pixels[2].reshape(4, 3, 32, 32)))
    assert images.train_y.tolist() == [0, 1, 2, 9, 1, 1, 2, 9]
    assert images.train_y.dtype == images.test_y.dtype == torch.int64
    assert (images.kind, images.classes, images.shape) == ("real", 10, (3, 32, 32))


def test_cifar100_is_normalised_by_its_own_constants_in_sltts_recipe_alone(small):
    """SLTT's public code states them; OTTT's normalises CIFAR-100 by CIFAR-10's."""
    source, root, _ = small
    images = replace(source, constants=CIFAR100.constants).load(root, False, root / "prepared")
    own = images.prepared("sltt")
    assert own.preparation.mean == (0.5071, 0.4867, 0.4408)
    assert own.preparation.std == (0.2675, 0.2565, 0.2761)
    assert (images.preparation.mean, images.preparation.std) == (cifar.MEAN, cifar.STD)
    assert replace(own.preparation, mean=cifar.MEAN, std=cifar.STD) == images.preparation
    assert own.checksum == images.checksum


def test_a_recipe_without_a_preparation_of_its_own_is_refused(small, monkeypatch):
    source, root, _ = small
    monkeypatch.setattr("bench.datasets.load", lambda *_, **__: source.load(root, False, root / "prepared"))
    case = Case("p", "training", "resnet18/cifar10", "bptt", "native", 2, 2, "cifar10", options=(("preparation", "sltt"),))
    with pytest.raises(
        UserError, match="preparation = 'sltt': that recipe has none of its own for cifar10; leave the option out"
    ):
        _ = RealData(case, root).samples


def test_held_out_images_are_those_of_the_training_set_and_no_longer_in_it(small, monkeypatch):
    source, root, _ = small
    whole = source.load(root, False, root / "prepared")
    monkeypatch.setattr("bench.datasets.load", lambda *_, **__: whole)

    def samples(**options):
        case = Case("p", "training", "resnet18/cifar10", "bptt", "native", 2, 2, "cifar10", options=tuple(options.items()))
        return RealData(case, root).samples

    part = samples(validation_images=3)
    pixels = {tuple(image.flatten().tolist()) for image in whole.train_x}
    trained, tested = ({tuple(image.flatten().tolist()) for image in x} for x in (part.train_x, part.test_x))
    assert (len(trained), len(tested), trained | tested) == (5, 3, pixels)
    assert part.checksum not in (whole.checksum, samples(validation_images=2).checksum)
    with pytest.raises(UserError, match="validation_images = 8 of 8 training images: leave some"):
        samples(validation_images=8)


def test_cifar_checksum_depends_on_the_contents(small):
    source, root, _ = small
    other = replace(source, test={"test_batch": "0" * 32})
    assert source.load(root, False, root / "prepared").checksum == source.load(root, False, root / "prepared").checksum
    assert cifar.store.identity(source.files) != cifar.store.identity(other.files)


@pytest.mark.parametrize("damage", ["one bit", "truncated", "empty"])
def test_cifar_names_a_damaged_file_and_both_checksums(small, damage):
    source, root, _ = small
    path = root / source.folder / "data_batch_2"
    contents = bytearray(path.read_bytes())
    if damage == "one bit":
        contents[len(contents) // 2] ^= 1
    else:
        del contents[-1 if damage == "truncated" else 0 :]
    path.write_bytes(contents)
    with pytest.raises(UserError) as error:
        source.load(root, False, root / "prepared")
    for part in (str(path), md5(contents), source.train["data_batch_2"], "delete it", "unpack it again"):
        assert part in str(error.value)


def test_cifar_unpacks_only_its_own_files_of_an_archive(small, tmp_path_factory):
    source, root, pixels = small
    (root / "escape").write_text("not part of the set")
    archive = tmp_path_factory.mktemp("archive") / source.archive
    with tarfile.open(archive, "w:gz") as members:
        for name in source.files:
            members.add(root / source.folder / name, f"{source.folder}/{name}")
        members.add(root / "escape", "../escape")
    source = replace(source, archive_md5=md5(archive.read_bytes()))
    fresh = archive.parent
    assert source.available(fresh)
    images = source.load(fresh, False, fresh / "prepared")
    assert torch.equal(images.test_x, torch.from_numpy(pixels[2].reshape(4, 3, 32, 32)))
    assert sorted(p.name for p in (fresh / "prepared" / source.folder).iterdir()) == sorted(source.files)
    assert sorted(p.name for p in fresh.iterdir()) == [source.archive, "prepared"]  # nothing is written to the data root itself
    archive.write_bytes(b"no longer needed")
    assert source.load(fresh, False, fresh / "prepared").checksum == images.checksum
    assert not (fresh.parent / "escape").exists()


def test_cifar_does_not_open_a_damaged_archive(small, tmp_path_factory):
    source, _, _ = small
    fresh = tmp_path_factory.mktemp("archive")
    (fresh / source.archive).write_bytes(b"half an archive")
    with pytest.raises(UserError, match=f"{source.archive} is damaged.*expected {source.archive_md5}"):
        source.load(fresh, False, fresh / "prepared")
    assert not (fresh / "prepared").exists()


class Malicious:
    def __reduce__(self):
        return os.system, ("false",)


def test_unpickled_accepts_arrays_only():
    data = np.arange(12, dtype=np.uint8).reshape(2, 6)
    assert np.array_equal(unpickled(batch_file(data, labels=[1]))["data"], data)
    with pytest.raises(pickle.UnpicklingError, match="system is not part of a batch"):
        unpickled(pickle.dumps({"data": Malicious()}, protocol=3))


def data_root() -> Path:
    return Path(os.environ.get("SPIKECOST_DATA_ROOT", "/nonexistent"))


@pytest.fixture(scope="session")
def cifar10_test_batch(tmp_path_factory) -> Path:
    """A data root with CIFAR-10's real test batch: the given root, or one rebuilt from lossless mosaics."""
    if (data_root() / CIFAR10.folder / "test_batch").exists():
        return data_root()
    script = REPOSITORY.parent / "shared" / "data" / "unpack.py"
    if not script.exists():
        pytest.skip("no real CIFAR-10: set SPIKECOST_DATA_ROOT to the folder that holds cifar-10-batches-py/")
    pytest.importorskip("PIL", reason="rebuilding the real test batch takes Pillow")
    spec = importlib.util.spec_from_file_location("unpack", script)
    unpack = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(unpack)
    source = script.parent / "cifar10"
    with unpack.lzma.open(source / "names.txt.xz", "rt") as lines:
        rows = [(int(label), name.encode()) for key, label, name in map(str.split, lines) if key == "test_batch"]
    root = tmp_path_factory.mktemp("real")
    (root / CIFAR10.folder).mkdir()
    labels, names = zip(*rows, strict=True)
    contents = unpack.batch(b"testing batch 1 of 1", labels, unpack.pixels(str(source / "test_batch.webp")), names)
    (root / CIFAR10.folder / "test_batch").write_bytes(contents)
    return root


def test_real_cifar10_test_batch(cifar10_test_batch):
    x, y = CIFAR10.read(dict.fromkeys(CIFAR10.test, cifar10_test_batch / CIFAR10.folder), CIFAR10.test)
    assert (x.shape, x.dtype) == ((10_000, 3, 32, 32), torch.uint8)
    assert y.bincount().tolist() == [1000] * 10
    assert y[:10].tolist() == [3, 8, 8, 0, 6, 6, 1, 6, 3, 1]
    # Channel means as commonly published; a transposed or reordered read would not change the labels.
    assert (x.double() / 255).mean((0, 2, 3)).tolist() == pytest.approx([0.4942, 0.4851, 0.4504], abs=1e-4)
    # Neighbouring pixels of photographs are similar along both axes, so rows and columns are not mixed up.
    f = x[:500].float()
    assert f.diff(dim=-1).abs().mean() < 20
    assert f.diff(dim=-2).abs().mean() < 20


@pytest.mark.parametrize(("source", "per_class"), [(CIFAR10, (5000, 1000)), (CIFAR100, (500, 100))], ids=["10", "100"])
def test_real_cifar_complete(source, per_class):
    if not source.available(data_root()):
        pytest.skip(f"no real {source.title} under SPIKECOST_DATA_ROOT")
    images = datasets.load(source.name, data_root(), download=False)
    assert images.train_y.bincount().tolist() == [per_class[0]] * images.classes
    assert images.test_y.bincount().tolist() == [per_class[1]] * images.classes
    assert images.train_x.shape == (50_000, 3, 32, 32)


# --------------------------------------------------------------------------- Fashion-MNIST


@pytest.fixture
def small_fashion(tmp_path, monkeypatch) -> Path:
    """Two training images and one test image in idx files with the official names."""
    sums = {}
    for split, count in (("train", 2), ("t10k", 1)):
        pixels = np.arange(count * 784, dtype=np.uint32).astype(np.uint8)
        for kind, header, values in (("images-idx3", 16, pixels), ("labels-idx1", 8, np.arange(7, 7 + count))):
            name = f"{split}-{kind}-ubyte.gz"
            contents = gzip.compress(b"\xff" * header + values.astype(np.uint8).tobytes())
            sums[name] = md5(contents)
            (tmp_path / name).write_bytes(contents)
    monkeypatch.setattr(fashion_mnist, "_MD5", sums)
    return tmp_path


@pytest.mark.parametrize("folder", ["FashionMNIST/raw", "fashion-mnist", "."])
def test_fashion_mnist_is_found_in_every_layout(small_fashion, tmp_path_factory, folder):
    root = tmp_path_factory.mktemp("layout")
    (root / folder).mkdir(parents=True, exist_ok=True)
    for file in small_fashion.glob("*.gz"):
        (root / folder / file.name).write_bytes(file.read_bytes())
    assert fashion_mnist.available(root)
    images = datasets.load("fashion-mnist", root, download=False)
    assert images.train_x.flatten().tolist() == [i % 256 for i in range(2 * 784)]
    assert images.train_x.shape == (2, 1, 28, 28)
    assert images.test_y.tolist() == [7]
    assert images.shape == (1, 28, 28)


def test_fashion_mnist_names_a_damaged_file(small_fashion):
    path = small_fashion / "train-labels-idx1-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UserError, match=f"{path.name} is damaged.*{md5(path.read_bytes())}"):
        datasets.load("fashion-mnist", small_fashion, download=False)


DEBIAN = Path("/usr/share/datasets")


def test_real_fashion_mnist():
    root = next((root for root in (data_root(), DEBIAN) if fashion_mnist.available(root)), None)
    if root is None:
        pytest.skip("no real Fashion-MNIST: neither under SPIKECOST_DATA_ROOT nor Debian's dataset-fashion-mnist")
    images = datasets.load("fashion-mnist", root, download=False)
    assert images.train_y.bincount().tolist() == [6000] * 10
    assert images.test_y[:5].tolist() == [9, 2, 1, 1, 6]
    x = images.preparation.test(images.train_x)
    assert float(x.mean()) == pytest.approx(0, abs=2e-3)
    assert float(x.std()) == pytest.approx(1, abs=2e-3)


def test_fashion_mnist_of_debian_has_the_official_contents():
    """With the official name and date in the gzip header, Debian's files equal the official ones to the byte."""
    folder = DEBIAN / "fashion-mnist"
    if not folder.exists():
        pytest.skip("Debian's dataset-fashion-mnist is not installed")
    for file, official in fashion_mnist._MD5.items():
        packed = (folder / file).read_bytes()
        date = 1504176627 if file == "t10k-labels-idx1-ubyte.gz" else 1504176606
        dates = [date] if file != "t10k-images-idx3-ubyte.gz" else range(1504176600, 1504176660)
        rebuilt = (
            b"\x1f\x8b\x08\x08" + d.to_bytes(4, "little") + packed[8:10] + file[:-3].encode() + b"\0" + packed[10:] for d in dates
        )
        assert official in map(md5, rebuilt), file


# --------------------------------------------------------------------------- digits and subsets


@pytest.fixture(scope="module")
def digits() -> datasets.Images:
    pytest.importorskip("sklearn", reason="the digits are part of scikit-learn")
    return datasets.load("digits", "/", download=False)


def test_digits_are_complete_with_a_fixed_split_and_their_own_name(digits):
    from sklearn.datasets import load_digits

    assert len(digits.train_y) + len(digits.test_y) == 1797
    assert digits.test_y.bincount().tolist() == [36] * 10
    assert "cifar" not in f"{digits.name} {digits.citation}".lower()
    ours = torch.cat([digits.train_x, digits.test_x]).flatten(1)
    theirs = torch.from_numpy(np.rint(load_digits().images * 255 / 16)).to(torch.uint8).flatten(1)
    assert sorted(map(tuple, ours.tolist())) == sorted(map(tuple, theirs.tolist()))
    assert datasets.load("digits").checksum == digits.checksum


def test_digits_are_prepared_as_images_of_32x32(digits):
    x = digits.preparation.test(digits.train_x)
    assert x.shape[1:] == digits.shape == (3, 32, 32)
    assert float(x.mean()) == pytest.approx(0, abs=1e-3)
    assert float(x.std()) == pytest.approx(1, abs=1e-3)
    assert torch.equal(x[:, :, ::4, ::4], x[:, :, 3::4, 3::4])


def test_subset_is_balanced_nested_and_determined_by_names(digits):
    small = datasets.subset(digits, 105, 20, "some", "names")
    counts = small.train_y.bincount()
    assert counts.sum() == 105
    assert counts.max() - counts.min() == 1
    assert small.test_y.bincount().tolist() == [2] * 10
    again = datasets.subset(digits, 105, 20, "some", "names")
    other = datasets.subset(digits, 105, 20, "other", "names")
    assert torch.equal(small.train_x, again.train_x)
    assert small.checksum == again.checksum
    assert not torch.equal(small.train_x, other.train_x)
    assert len({small.checksum, other.checksum, digits.checksum}) == 3
    larger = {(*x, y) for x, y in rows(datasets.subset(digits, 300, 20, "some", "names"))}
    assert {(*x, y) for x, y in rows(small)} <= larger


def rows(images: datasets.Images):
    return [(tuple(x), y) for x, y in zip(images.train_x.flatten(1).tolist(), images.train_y.tolist(), strict=True)]


def test_subset_of_all_samples_keeps_their_order(digits):
    whole = datasets.subset(digits, None, None, "x")
    assert torch.equal(whole.train_x, digits.train_x)
    assert torch.equal(whole.test_y, digits.test_y)


@pytest.mark.parametrize("size", [0, -1, 1438])
def test_subset_rejects_impossible_sizes(digits, size):
    with pytest.raises(UserError, match=rf"{size} train images of digits: it has 1437"):
        datasets.subset(digits, size, None, "x")
