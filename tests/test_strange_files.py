"""Paths that are no files, archives that lie, outputs that lead elsewhere: refused at once, or followed."""

import contextlib
import io
import json
import os
import socket
import stat
import struct
import textwrap
import zipfile

import numpy as np
import pytest
from warm import python

import pisensory as ps
from pisensory import files

POLICY = ps.InvariantPolicy(n_embeddings=3, proj_dim=4, hidden_size=2, head_sizes=(4,))
PARAMS = np.random.default_rng(0).standard_normal(POLICY.n_params)
READERS = {
    "load_policy": ps.load_policy,
    "load_params": ps.load_params,
    "read_json": files.read_json,
    "read_text": lambda path: files.read_text(path, 2**20),
}
SECONDS, MEGABYTES = 1, 500


def refused(reader, path):
    """Read in a process of its own; return our error, having checked that it cost little time and memory."""
    code = f"""
        import resource, sys, time
        import pisensory as ps
        from pisensory import files
        reader = {{
            "load_policy": ps.load_policy, "load_params": ps.load_params, "read_json": files.read_json,
            "read_text": lambda path: files.read_text(path, 2**20),
        }}[{reader!r}]
        before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
        try:
            reader({str(path)!r})
        except ps.FileError as error:
            print(error)
        seconds = time.process_time() - start
        megabytes = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        assert seconds < {SECONDS} and megabytes < {MEGABYTES}, (seconds, megabytes)
    """
    result = python(textwrap.dedent(code), timeout=30)
    assert result.returncode == 0, result.stderr
    assert os.path.basename(path) in result.stdout
    return result.stdout


def place(kind, folder):
    """Put something that is no regular file into a folder, and return its path."""
    path = folder / "strange"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "link to a device":
        path.symlink_to("/dev/zero")
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as end:
            end.bind(os.path.relpath(path))
    else:
        path.mkdir()
    return path


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("kind", ["fifo", "link to a device", "socket", "folder"])
def test_what_is_no_regular_file_is_refused_at_once(tmp_path, monkeypatch, kind, reader):
    monkeypatch.chdir(tmp_path)  # the name of a socket must be short
    assert "no regular file" in refused(reader, place(kind, tmp_path))


def end_of_directory(n_entries, size, start):
    """Return the end of an archive, large numbers allowed, that says this of its directory."""
    large = struct.pack("<4sQHHLLQQQQ", b"PK\6\6", 44, 45, 45, 0, 0, n_entries, n_entries, size, start)
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, start + size, 1)
    return large + locator + struct.pack("<4sHHHHLLH", b"PK\5\6", 0, 0, 2**16 - 1, 2**16 - 1, 2**32 - 1, 2**32 - 1, 0)


def write_sparse(path):
    with open(path, "wb") as file:
        file.truncate(2**31)  # takes no room on the disk
        file.seek(2**31)
        file.write(end_of_directory(1, 2**31, 0))


def write_sparse_that_fits(path):
    with open(path, "wb") as file:
        file.truncate(200 * 2**20)
        file.seek(200 * 2**20)
        file.write(end_of_directory(1, 200 * 2**20, 0))


def write_a_million_entries(path):
    entry = struct.pack("<4s4B4HL2L5H2L", b"PK\1\2", 20, 0, 20, 0, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0) + b"a.npy"
    path.write_bytes(entry * 10**6 + end_of_directory(10**6, len(entry) * 10**6, 0))


def write_header(path, text):
    """Write a policy file with this text, a piece of it at a time, for a header."""
    n_characters = sum(map(len, text))
    with zipfile.ZipFile(path, "w") as archive:
        with archive.open("params.npy", "w") as member:
            np.lib.format.write_array(member, PARAMS)
        with archive.open("header.npy", "w", force_zip64=True) as member:
            description = {"descr": f"<U{n_characters}", "fortran_order": False, "shape": ()}
            np.lib.format.write_array_header_1_0(member, description)
            for piece in text:
                member.write(piece.encode("utf-32-le"))


def write_long_header(path):
    write_header(path, [" " * 2**20] * 60)


def write_many_layers(path):
    policy = {**POLICY.config, "head_sizes": [1] * 300_000}
    write_header(path, [json.dumps({"format": files.FORMAT, "version": 1, "policy": policy, "about": {}})])


@pytest.mark.parametrize(
    "write",
    [write_sparse, write_sparse_that_fits, write_a_million_entries, write_long_header, write_many_layers],
)
def test_archives_that_lie_are_refused_at_once(tmp_path, write):
    write(tmp_path / "model.npz")
    refused("load_policy", tmp_path / "model.npz")


def test_a_note_that_could_not_be_read_is_not_written(tmp_path):
    ps.save_policy(tmp_path / "a.npz", POLICY, PARAMS, note="x" * 900_000)
    assert len(files.load_policy_about(tmp_path / "a.npz")[2]["note"]) == 900_000
    with pytest.raises(ps.InputError, match="keep less"):
        ps.save_policy(tmp_path / "a.npz", POLICY, PARAMS, note="x" * 1_100_000)
    assert len(files.load_policy_about(tmp_path / "a.npz")[2]["note"]) == 900_000


def test_arrays_that_could_not_be_read_are_not_written(tmp_path):
    large = np.broadcast_to(0.0, (2**25 + 1,))  # takes no memory
    with pytest.raises(ps.InputError, match=r"a file may have 256: learn no covariances"):
        files.write_npz(tmp_path / "a.npz", {"large": large}, "learn no covariances")
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_the_largest_arrays_that_are_written_can_be_read(tmp_path):
    files.write_npz(tmp_path / "a.npz", {"large": np.zeros(2**25 - 2), "header": files.header_array({})})
    assert files.read_npz(tmp_path / "a.npz")["large"].size == 2**25 - 2


def test_outputs_follow_links(tmp_path):
    (tmp_path / "real.npz").write_bytes(b"old")
    (tmp_path / "elsewhere").mkdir()
    for link, target in (("a.npz", "real.npz"), ("b.npz", "elsewhere/new.npz")):
        (tmp_path / link).symlink_to(target)
        ps.save_policy(tmp_path / link, POLICY, PARAMS)
        assert (tmp_path / link).is_symlink()
        np.testing.assert_array_equal(ps.load_params(tmp_path / target), PARAMS)


@pytest.mark.parametrize("kind", ["fifo", "folder", "link to a device"])
def test_outputs_that_are_no_regular_files_are_refused(tmp_path, kind):
    path = place(kind, tmp_path)
    before = os.stat(path).st_mode
    with pytest.raises(ps.FileError, match="no regular file: name another"):
        ps.save_policy(path, POLICY, PARAMS)
    assert os.stat(path).st_mode == before
    assert [found.name for found in tmp_path.iterdir()] == ["strange"]


def test_links_in_a_circle_are_refused(tmp_path):
    (tmp_path / "a.npz").symlink_to("a.npz")
    with pytest.raises(ps.FileError, match=r"a\.npz"):
        ps.save_policy(tmp_path / "a.npz", POLICY, PARAMS)
    with pytest.raises(ps.FileError, match=r"a\.npz"):
        ps.load_policy(tmp_path / "a.npz")


@pytest.mark.parametrize("mask", [0o022, 0o077])
def test_files_have_the_mode_that_the_mask_leaves_and_the_mask_is_left_alone(tmp_path, monkeypatch, mask):
    before = os.umask(mask)
    try:
        with monkeypatch.context() as patch:
            patch.delattr(os, "umask")  # it belongs to the process: other threads make files too
            ps.save_policy(tmp_path / "a.npz", POLICY, PARAMS)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.npz").stat().st_mode) == 0o666 & ~mask


def test_names_as_long_as_the_system_takes_are_written(tmp_path):
    ps.save_policy(tmp_path / ("a" * 250 + ".npz"), POLICY, PARAMS)
    assert ps.load_params(tmp_path / ("a" * 250 + ".npz")).size == PARAMS.size
    for call in (lambda path: ps.save_policy(path, POLICY, PARAMS), ps.load_policy, ps.load_params):
        with pytest.raises(ps.InputError, match="too long"):
            call(tmp_path / ("a" * 300 + ".npz"))


@pytest.mark.parametrize("path", [None, 3, "", "a\0b", b"a.npz", ["a.npz"]])
def test_what_is_no_path_is_refused(path):
    for call in (lambda path: ps.save_policy(path, POLICY, PARAMS), ps.load_policy, ps.load_params):
        with pytest.raises(ps.InputError, match="must be that of a file or folder"):
            call(path)


def test_folders_named_like_temporary_files_are_left_alone(tmp_path):
    name = ".anything.pisensory-tmp"
    (tmp_path / "other").mkdir()
    assert not files.is_temporary(tmp_path / name)
    (tmp_path / name).mkdir()
    assert not files.is_temporary(tmp_path / name)
    (tmp_path / "other" / name).write_text("")
    assert files.is_temporary(tmp_path / "other" / name)


def test_a_file_that_grows_is_read_to_its_limit(tmp_path, monkeypatch):
    class Growing(io.BytesIO):
        def read(self, size=-1):
            return b"x" * size

    monkeypatch.setattr(files, "open_regular", lambda path, limit: Growing())
    assert len(files.read_text(tmp_path / "log", 1000)) < 2**20


@pytest.mark.parametrize("name", ["config.json", "metrics.csv", "checkpoint.npz", "best.npz", "policy.npz", ".lock"])
def test_runs_with_a_pipe_in_them_do_not_hang(tmp_path, name):
    policy, task = ps.MLPPolicy(hidden_sizes=()), ps.CartPoleSwingUp("v1", max_steps=3)
    settings = {"generations": 1, "population_size": 4, "n_episodes": 1, "n_eval_episodes": 1, "eval_every": 1}
    run = tmp_path / "run"
    ps.train(policy, task, run, **settings)
    with contextlib.suppress(FileNotFoundError):
        (run / name).unlink()
    os.mkfifo(run / name)
    code = f"""
        import pisensory as ps
        policy, task = ps.MLPPolicy(hidden_sizes=()), ps.CartPoleSwingUp("v1", max_steps=3)
        try:
            ps.train(policy, task, {str(run)!r}, **{ {**settings, "generations": 2} }, resume=True)
        except ps.FileError as error:
            print(error)
    """
    result = python(textwrap.dedent(code))
    assert result.returncode == 0, result.stderr
    # The lock is on the folder itself; and a run whose best is not beaten does not write it.
    assert "no regular file" in result.stdout or name in (".lock", "best.npz")
    assert stat.S_ISFIFO((run / name).stat().st_mode)
