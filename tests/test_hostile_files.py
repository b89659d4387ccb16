"""Files nobody should trust: each is read right or refused with our error, and nothing else happens."""

import io
import json
import pickle
import resource
import signal
import sys
import zipfile

import numpy as np
import pytest

import pisensory as ps
from pisensory.cloning.episodes import Batch, EpisodeStore
from pisensory.runs import read_config, read_metrics
from pisensory.runs.checkpoint import read_checkpoint
from pisensory.runs.metrics import COLUMNS

POLICY = ps.InvariantPolicy(n_embeddings=3, proj_dim=4, hidden_size=2, head_sizes=(4,))
TASK = ps.CartPoleSwingUp("v1", max_steps=5)
ABOUT = "a student, a teacher and a task"
# What no reader has any business with: running, deleting, loading code, writing.
FORBIDDEN = {
    "os.system",
    "subprocess.Popen",
    "os.exec",
    "os.remove",
    "os.rename",
    "pickle.find_class",
    "socket.connect",
}
SECONDS, MEGABYTES = 1, 500

_watched = []


def _watch(event, arguments):
    if _watched and (event in FORBIDDEN or (event == "open" and set(str(arguments[1])) & set("wax+"))):
        _watched.append((event, arguments))


sys.addaudithook(_watch)


class Trap:
    """Runs code when it is unpickled."""

    def __reduce__(self):
        return (exec, ("raise SystemExit('the trap has sprung')",))


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    """A valid file for each reader, as (reader, path)."""
    folder = tmp_path_factory.mktemp("valid")
    ps.train(POLICY, TASK, folder / "run", generations=3, population_size=4, n_episodes=1, n_eval_episodes=2)
    params = ps.load_policy(folder / "run" / "best.npz")[1]
    np.savez_compressed(folder / "bare.npz", params=params)
    seen, actions = np.zeros((3, 2, 1, 2), np.float32), np.zeros((3, 1, 2), np.float32)
    sources, states = np.zeros((3, 2, 2), np.int16), np.zeros((0, 0, 0, 0, 2), np.float32)
    batch = Batch(seen, actions, actions, np.ones((3, 2), bool), sources, states)
    EpisodeStore(folder, ABOUT, 2**20, 2).write(1, batch)
    return [
        (ps.load_policy, folder / "run" / "best.npz"),
        (lambda path: read_checkpoint(path.parent), folder / "run" / "checkpoint.npz"),
        (ps.load_params, folder / "bare.npz"),
        (lambda path: read_config(path.parent), folder / "run" / "config.json"),
        (lambda path: read_metrics(path.parent), folder / "run" / "metrics.csv"),
        (lambda path: EpisodeStore(path.parent, ABOUT, 2**20, 2).read(1), folder / "block-000001.npz"),
    ]


def check(reader, path):
    """Read a file under guard; return what came of it, or None if it was refused."""

    def too_long(number, frame):
        raise AssertionError(f"{path} took longer than {SECONDS} s")

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    signal.signal(signal.SIGALRM, too_long)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    _watched.append("on")
    try:
        return reader(path)
    except ps.FileError as error:
        assert path.name in str(error)
        return None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        happened, _watched[:] = _watched[1:], []
        assert not happened
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MEGABYTES * 1024


def mutate(data, rng):
    """Return `data` damaged in one of many ways."""
    data = bytearray(data)
    kind = rng.integers(7)
    if kind == 0:  # single bits
        for place in rng.integers(len(data), size=rng.integers(1, 9)):
            data[place] ^= 1 << rng.integers(8)
    elif kind == 1:
        del data[rng.integers(len(data)) :]
    elif kind == 2:  # a stretch of noise
        start = int(rng.integers(len(data)))
        size = min(int(rng.integers(1, 64)), len(data) - start)
        data[start : start + size] = rng.bytes(size)
    elif kind == 3:  # a stretch moved elsewhere
        start, end = sorted(rng.integers(len(data), size=2))
        place = int(rng.integers(len(data)))
        data[place:place] = data[start:end]
    elif kind == 4:
        start, end = sorted(rng.integers(len(data), size=2))
        del data[start:end]
    elif kind == 5:  # other numbers in the text parts: shapes, sizes, versions
        places = [place for place, byte in enumerate(data) if 48 <= byte <= 57]
        for place in rng.choice(places, size=min(3, len(places)), replace=False):
            data[place] = rng.integers(48, 58)
    else:  # words in the text parts
        old, new = WORDS[rng.integers(len(WORDS))]
        data = bytearray(bytes(data).replace(old, new))
    return bytes(data)


WORDS = [
    (b"'<f8'", b"'|O8'"), (b"<f8", b"<f4"), (b"<f8", b"<c8"), (b"<f8", b"|V8"), (b"<f8", b"<U2"), (b"False", b"True "),
    (b"(", b"(9999999999,"), (b"params", b"../etc"), (b"header", b"/a/b/c"), (b".npy", b".pkl"), (b"{", b"[" * 4000),
    (b"invariant", b"__import_"), (b": 1", b": NaN"), (b"4", b"1e999"), (b",", b"\x00"), (b"\n", b"\n\n"),
    (b"2", b"nan"),
]  # fmt: skip


def fuzz(originals, folder, n_files, seed):
    """Read mutated files; return how many were refused, and how many were read."""
    rng = np.random.default_rng(seed)
    counts = {"refused": 0, "read": 0}
    for number in range(n_files):
        reader, original = originals[number % len(originals)]
        path = folder / original.name
        data = mutate(original.read_bytes(), rng)
        path.write_bytes(mutate(data, rng) if data and rng.random() < 0.3 else data)
        result = check(reader, path)
        counts["refused" if result is None else "read"] += 1
        if result is not None and reader is ps.load_policy:
            policy, params = result
            assert params.shape == (policy.n_params,)
            assert np.isfinite(params).all()
    return counts


def test_damaged_files_are_read_right_or_refused(originals, tmp_path):
    counts = fuzz(originals, tmp_path, 900, seed=1)
    assert counts["refused"] > 300


@pytest.mark.slow
def test_very_many_damaged_files_are_read_right_or_refused(originals, tmp_path):
    counts = fuzz(originals, tmp_path, 12_000, seed=2)
    assert counts["refused"] > 4000


def npy(description, shape, data=b"", version=1):
    """Return a `.npy` file that says whatever is wanted."""
    header = repr({"descr": description, "fortran_order": False, "shape": shape}).encode() + b"\n"
    return b"\x93NUMPY" + bytes([version, 0]) + len(header).to_bytes(2, "little") + header + data


def archive(members, compression=zipfile.ZIP_STORED):
    """Return an archive with these members."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as output:
        for name, data in members:
            output.writestr(name, data)
    return file.getvalue()


def bomb(n_megabytes):
    """Return an archive whose only array is very many zeros, packed small."""
    header = npy("<f8", (n_megabytes * 2**17,))
    with io.BytesIO() as file:
        packed = zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1)
        with packed, packed.open("params.npy", "w") as member:
            member.write(header)
            megabyte = bytes(2**20)
            for _ in range(n_megabytes):
                member.write(megabyte)
        return file.getvalue()


def lie(original, **changes):
    """Return a policy file whose header says something else."""
    arrays = dict(np.load(original))
    header = json.loads(str(arrays["header"]))
    header["policy"].update(changes.pop("policy", {}))
    arrays["header"] = np.array(json.dumps({**header, **changes}))
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def crafted(original):
    """Return hostile archives by what is wrong with them."""
    objects = io.BytesIO()
    np.savez(objects, params=np.array([Trap()], dtype=object))
    wide = npy("<f8", (4,), np.array([1, 2, 3, 4.0]).tobytes())
    return {
        "object array": objects.getvalue(),
        "bare pickle": pickle.dumps(Trap()),
        "pickle in the archive": archive([("params.npy", pickle.dumps(Trap()))]),
        "object dtype": archive([("params.npy", npy("|O", (1,), pickle.dumps(Trap())))]),
        "structured dtype": archive([("params.npy", npy([("a", "|O")], (1,), pickle.dumps(Trap())))]),
        "code for a header": archive([("params.npy", npy("<f8", (4,)).replace(b"(4,)", b"exit"))]),
        "huge shape": archive([("params.npy", npy("<f8", (2**39,)))]),
        "shape that overflows": archive([("params.npy", npy("<f8", (2**39, 2**39, 2**39)))]),
        "negative shape": archive([("params.npy", npy("<f8", (-4,), bytes(32)))]),
        "nothing, many times": archive([("params.npy", npy("<U0", (2**32,)))]),
        "many axes": archive([("params.npy", npy("<f8", (1,) * 70, bytes(8)))]),
        "long text": archive([("params.npy", npy("<U999999999", (1,)))]),
        "bomb": bomb(MEGABYTES + 200),
        "smaller bomb": bomb(200),
        "very many members": archive([(f"a{number}.npy", wide) for number in range(5000)]),
        "path that climbs": archive([("../../params.npy", wide)]),
        "absolute path": archive([("/tmp/params.npy", wide)]),
        "path of another system": archive([("..\\params.npy", wide)]),
        "the same name twice": archive([("params.npy", wide), ("params.npy", wide)]),
        "not a number": archive([("params.npy", npy("<f8", (1,), np.array([np.nan]).tobytes()))]),
        "infinite": archive([("params.npy", npy("<f8", (1,), np.array([np.inf]).tobytes()))]),
        "complex numbers": archive([("params.npy", npy("<c16", (1,), bytes(16)))]),
        "dates": archive([("params.npy", npy("<M8[s]", (1,), bytes(8)))]),
        "version to come": archive([("params.npy", npy("<f8", (1,), bytes(8), version=9))]),
        "more data than shape": archive([("params.npy", npy("<f8", (1,), bytes(80)))]),
        "bzip2": archive([("params.npy", wide)], zipfile.ZIP_BZIP2),
        "empty archive": archive([]),
        "empty file": b"",
        "other version": lie(original, version=2),
        "other format": lie(original, format="something else"),
        "huge network": lie(original, policy={"hidden_size": 10**15}),
        "larger network": lie(original, policy={"n_embeddings": 10**9}),
        "very deep network": lie(original, policy={"head_sizes": [10**6] * 10**4}),
        "negative network": lie(original, policy={"proj_dim": -1}),
        "text for a size": lie(original, policy={"proj_dim": "__import__('os').system('true')"}),
        "unknown setting": lie(original, policy={"evil": 1}),
        "unknown kind": lie(original, policy={"kind": "os.system"}),
        "deep header": lie(original, about=json.loads("[" * 500 + "]" * 500)),
    }


READ_ALL_THE_SAME = {"deep header", "the same name twice"}


def test_hostile_archives_are_refused_and_nothing_happens(originals, tmp_path, recwarn):
    for name, data in crafted(originals[0][1]).items():
        path = tmp_path / "model.npz"
        path.write_bytes(data)
        for reader in (ps.load_policy, ps.load_params):
            result = check(reader, path)
            assert result is None or name in READ_ALL_THE_SAME or reader is ps.load_params, name
    assert [str(warning.message) for warning in recwarn if warning.category is not UserWarning] == []


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "[]", "null", "[" * 100_000, "\x00" * 100, "1" * 10_000, '{"format": "pisensory-run"}',
        '{"format": "pisensory-run", "version": 99}',
        '{"format": "pisensory-run", "version": 1, "policy": [], "task": {}, "training": {}}',
    ],
)  # fmt: skip
def test_hostile_settings_are_refused(tmp_path, text):
    (tmp_path / "config.json").write_text(text)
    assert check(lambda path: read_config(path.parent), tmp_path / "config.json") is None
    with pytest.raises(ps.FileError):
        ps.train(POLICY, TASK, tmp_path, resume=True)


@pytest.mark.parametrize(
    "tail", ["1,2", "x" * 300, "1" + ",nan" * 12 + ",__import__('os')", "\n".join(2 * ["1" + ",1" * 13])]
)
def test_hostile_metrics_are_refused(tmp_path, tail):
    (tmp_path / "metrics.csv").write_text(",".join(COLUMNS["generation"]) + "\n" + tail + "\n")
    assert check(lambda path: read_metrics(path.parent), tmp_path / "metrics.csv") is None


def test_files_larger_than_any_of_ours_are_refused(tmp_path):
    for name, reader in (("config.json", read_config), ("metrics.csv", read_metrics)):
        with open(tmp_path / name, "wb") as file:
            file.truncate(2**33)  # takes no room on the disk
        assert check(lambda path, reader=reader: reader(path.parent), tmp_path / name) is None


def test_compressed_files_of_reasonable_size_are_read(tmp_path):
    np.savez_compressed(tmp_path / "large.npz", params=np.ones(10**6))
    assert check(ps.load_params, tmp_path / "large.npz").sum() == 10**6
