"""Policy files: what is written is read back, anything else is refused, nothing is lost."""

import errno
import io
import os
import zipfile

import numpy as np
import pytest

import pisensory as ps
from pisensory.files import atomic_write, load_policy_about, read_npz

POLICY = ps.InvariantPolicy(n_embeddings=3, head_sizes=(4,), gain=0.5)
PARAMS = np.random.default_rng(0).standard_normal(POLICY.n_params)


def test_policy_comes_back_to_the_bit(tmp_path):
    ps.save_policy(tmp_path / "a.npz", POLICY, PARAMS, task={"kind": "cartpole"}, scores=[1.5, None])
    policy, params, about = load_policy_about(tmp_path / "a.npz")
    assert policy == POLICY
    np.testing.assert_array_equal(params, PARAMS)
    assert about == {"task": {"kind": "cartpole"}, "scores": [1.5, None]}


def test_the_same_policy_is_the_same_bytes_and_plain_numpy_reads_it(tmp_path):
    ps.save_policy(tmp_path / "a.npz", POLICY, PARAMS)
    ps.save_policy(tmp_path / "b.npz", POLICY, PARAMS)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    np.testing.assert_array_equal(np.load(tmp_path / "a.npz", allow_pickle=False)["params"], PARAMS)


def test_bare_vectors_load(tmp_path):
    np.savez(tmp_path / "named.npz", params=PARAMS.astype(np.float32), other=np.zeros((2, 2)))
    np.savez_compressed(tmp_path / "only.npz", weights=PARAMS)
    np.testing.assert_array_equal(ps.load_params(tmp_path / "named.npz"), PARAMS.astype(np.float32))
    np.testing.assert_array_equal(ps.load_params(tmp_path / "only.npz"), PARAMS)


def test_published_weights_load_as_they_are(reference, published):
    np.testing.assert_array_equal(ps.load_params(reference / "weights" / "cartpole_pi.npz"), published)


def test_fortran_order_is_kept(tmp_path):
    matrix = np.asfortranarray(np.arange(6.0).reshape(2, 3))
    np.savez(tmp_path / "a.npz", matrix=matrix)
    read = read_npz(tmp_path / "a.npz")["matrix"]
    np.testing.assert_array_equal(read, matrix)
    assert read.flags.f_contiguous


@pytest.mark.parametrize("length", [0, 10, 200, -30])
def test_truncated_files_are_refused(tmp_path, length):
    ps.save_policy(tmp_path / "a.npz", POLICY, PARAMS)
    data = (tmp_path / "a.npz").read_bytes()
    (tmp_path / "a.npz").write_bytes(data[:length])
    with pytest.raises(ps.FileError, match=r"a\.npz"):
        ps.load_policy(tmp_path / "a.npz")


def test_foreign_and_missing_files_are_refused(tmp_path):
    (tmp_path / "text.npz").write_text("hello")
    np.savez(tmp_path / "bare.npz", params=PARAMS)
    np.savez(tmp_path / "two.npz", a=PARAMS, b=PARAMS)
    np.savez(tmp_path / "nan.npz", params=np.array([1.0, np.nan]))
    with pytest.raises(ps.FileError, match="there is no file"):
        ps.load_policy(tmp_path / "missing.npz")
    with pytest.raises(ps.FileError, match="not a file this can read"):
        ps.load_policy(tmp_path / "text.npz")
    with pytest.raises(ps.FileError, match="has no header"):
        ps.load_policy(tmp_path / "bare.npz")
    with pytest.raises(ps.FileError, match="2 flat vectors"):
        ps.load_params(tmp_path / "two.npz")
    with pytest.raises(ps.FileError, match="NaN"):
        ps.load_params(tmp_path / "nan.npz")


def test_objects_are_refused_without_being_loaded(tmp_path):
    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "sprung"),)

    np.savez(tmp_path / "trap.npz", params=np.array([Trap()], dtype=object))
    with pytest.raises(ps.FileError):
        ps.load_params(tmp_path / "trap.npz")
    assert not (tmp_path / "sprung").exists()


def test_arrays_that_promise_more_than_they_hold_are_refused(tmp_path):
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "<f8", "fortran_order": False, "shape": (2**38,)})
    with zipfile.ZipFile(tmp_path / "huge.npz", "w") as archive:
        archive.writestr("params.npy", file.getvalue())
    with pytest.raises(ps.FileError, match="promises"):
        ps.load_params(tmp_path / "huge.npz")


def test_full_disk_leaves_the_old_file(tmp_path, monkeypatch):
    ps.save_policy(tmp_path / "a.npz", POLICY, PARAMS)
    before = (tmp_path / "a.npz").read_bytes()

    def no_space(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(ps.FileError, match=r"No space left.*unchanged"):
        ps.save_policy(tmp_path / "a.npz", POLICY, PARAMS + 1)
    assert (tmp_path / "a.npz").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["a.npz"]


def test_interrupted_write_leaves_the_old_file(tmp_path):
    (tmp_path / "a").write_text("old")
    with pytest.raises(KeyboardInterrupt), atomic_write(tmp_path / "a") as file:
        file.write(b"new")
        raise KeyboardInterrupt
    assert (tmp_path / "a").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_what_cannot_be_kept_is_refused_before_writing(tmp_path):
    with pytest.raises(ps.InputError, match="plain numbers"):
        ps.save_policy(tmp_path / "a.npz", POLICY, PARAMS, note=object())
    with pytest.raises(ps.InputError, match="plain numbers"):
        ps.save_policy(tmp_path / "a.npz", POLICY, PARAMS, score=float("nan"))
    with pytest.raises(ps.InputError, match="numbers a candidate"):
        ps.save_policy(tmp_path / "a.npz", POLICY, PARAMS[:-1])
    with pytest.raises(ps.FileError, match="cannot write"):
        ps.save_policy(tmp_path / "no" / "folder" / "a.npz", POLICY, PARAMS)
    assert not list(tmp_path.iterdir())


def test_mask_of_the_process_is_heeded_and_left_alone(tmp_path, monkeypatch):
    before = os.umask(0o027)
    try:
        with monkeypatch.context() as patch:
            patch.setattr(os, "umask", lambda mask: pytest.fail("other threads would write files that all may read"))
            ps.save_policy(tmp_path / "a.npz", POLICY, PARAMS)
        assert (tmp_path / "a.npz").stat().st_mode & 0o777 == 0o640
    finally:
        os.umask(before)


def test_a_task_is_kept_as_what_describes_it(tmp_path):
    task = ps.CartPoleSwingUp("v1", max_steps=7)
    ps.save_policy(tmp_path / "a.npz", POLICY, PARAMS, task=task, note="n")
    assert load_policy_about(tmp_path / "a.npz")[2] == {"task": task.config, "note": "n"}
    with pytest.raises(ps.InputError, match="task must be a Task"):
        ps.save_policy(tmp_path / "a.npz", POLICY, PARAMS, task="v1")
