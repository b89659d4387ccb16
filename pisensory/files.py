"""Reading and writing, safely: no pickle is ever read, and a file is either the old one or the new one.

Arrays are kept in `.npz` archives that plain NumPy reads too. Ours are written with a fixed date in the
archive, so that the same contents are the same bytes.
"""

from __future__ import annotations

import ast
import contextlib
import io
import json
import math
import mmap
import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any, Union

import numpy as np

from .errors import FileError, InputError, check_type, shorten, show
from .parameters import Vector, check_params
from .policies import Policy, policy_from_config
from .tasks import Task

PathLike = Union[str, "os.PathLike[str]"]

FORMAT = "pisensory-policy"
VERSION = 1
# The most that is read from one file, and the most of it that may be compressed, and so out of all proportion
# to the file, or text.
MAX_BYTES = 256 * 2**20
_MAX_COMPRESSED = 64 * 2**20
_MAX_HEADER = 2**20
_MAX_MEMBERS = 64
# What is taken of an archive at once; so its directory is no larger either, whatever it says of itself.
_PIECE = 2**17
_LONGEST_NAME = 255  # bytes, of a file or folder
_TEMPORARY = ".pisensory-tmp"
# Opening waits for nobody at the other end of a pipe; Windows has neither, and must be told that bytes are meant.
_FLAGS = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


def as_path(path: object, name: str = "path") -> Path:
    """Return `path`, text or a Path, as a Path; raise InputError, naming the argument, for what is none."""
    text = os.fspath(path) if isinstance(path, os.PathLike) else path
    if not isinstance(text, str) or not text or "\0" in text:
        raise InputError(f"{name} must be that of a file or folder, as text or a Path, got {show(path)}")
    if max(len(os.fsencode(part)) for part in Path(text).parts or ("",)) > _LONGEST_NAME:
        raise InputError(
            f"{name} must have no name of more than {_LONGEST_NAME} bytes, which is too long, got {show(text)}"
        )
    return Path(text)


def _refuse_irregular(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        what = "a folder" if stat.S_ISDIR(status.st_mode) else "a device, pipe or socket"
        raise FileError(f"{path} is {what}, and no regular file: name another")


def _open(path: Path, flags: int) -> int:
    """Open what is, or will be, a regular file, and return its descriptor; raise FileError for anything else."""
    try:
        with contextlib.suppress(FileNotFoundError):
            _refuse_irregular(path, os.stat(path))  # first, as opening alone makes some devices act
        descriptor = os.open(path, flags | _FLAGS, 0o666)
        try:
            _refuse_irregular(path, os.fstat(descriptor))
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor
    except FileError:
        raise
    except FileNotFoundError:
        raise FileError(f"there is no file {path}") from None
    except OSError as error:
        raise FileError(f"cannot open {path}: {error.strerror or error}") from error


def open_regular(path: PathLike, limit: int) -> IO[bytes]:
    """Open a regular file of at most `limit` bytes for reading; raise FileError for anything else, unread."""
    path = as_path(path)
    file = _Pieces(io.FileIO(_open(path, os.O_RDONLY), "rb"))
    size = os.fstat(file.fileno()).st_size
    if size > limit:
        file.close()
        raise FileError(f"{path} is larger than {limit >> 20} MB: it was not written by pisensory")
    return file


class _Pieces(io.BufferedReader):
    """A file of which no more than a piece is read at once."""

    def read(self, size: int | None = -1) -> bytes:
        """Read at most `size` bytes, all that there are if it is negative; raise ValueError for too many."""
        data = super().read(_PIECE + 1 if size is None or size < 0 else min(size, _PIECE + 1))
        if len(data) > _PIECE:
            raise ValueError(f"a part of it is larger than {_PIECE >> 10} kB")
        return data


def check_output(path: PathLike) -> Path:
    """Return where writing to `path` ends up, links followed.

    Raises:
        FileError: if something is there that is no regular file, or the folder is missing.
    """
    path = as_path(path)
    target = Path(os.path.realpath(path))
    try:
        if not target.parent.is_dir():
            raise FileError(f"cannot write {path}: there is no folder {target.parent}")
        with contextlib.suppress(FileNotFoundError):
            _refuse_irregular(path, os.stat(target))
    except FileError:
        raise
    except OSError as error:
        raise FileError(f"cannot write {path}: {error.strerror or error}") from error
    return target


@contextlib.contextmanager
def atomic_write(path: PathLike) -> Iterator[IO[bytes]]:
    """Open `path` for writing bytes so that it changes at once, and only if all went well.

    The bytes go to a temporary file beside it, are flushed to the disk, and take its name; where it is a link,
    that of the file it leads to. On any error the file at `path` is as it was, and the temporary one is gone.

    Raises:
        FileError: if the folder is missing or cannot be written, the disk is full, or something is there that is
            no regular file.
    """
    target = check_output(path)
    temporary = target.with_name(f".{os.urandom(8).hex()}{_TEMPORARY}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _FLAGS, 0o666)
    except OSError as error:
        raise FileError(f"cannot write {path}: {error.strerror or error}") from error
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
        _sync_folder(target.parent)
    except FileError:
        raise
    except OSError as error:
        raise FileError(f"cannot write {path}: {error.strerror or error}; what was there is unchanged") from error
    finally:
        with contextlib.suppress(OSError):
            os.unlink(temporary)


def is_temporary(path: Path) -> bool:
    """Return whether something is a temporary file of `atomic_write`."""
    if not (path.name.startswith(".") and path.name.endswith(_TEMPORARY)):
        return False
    with contextlib.suppress(OSError):  # it has gone
        return stat.S_ISREG(path.lstat().st_mode)
    return False


def _sync_folder(folder: Path) -> None:
    with contextlib.suppress(OSError):  # not every file system lets a folder be flushed
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def make_folder(path: PathLike) -> Path:
    """Create a folder and those above it, unless it is there; raise FileError if that fails."""
    folder = as_path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileError(f"cannot create the folder {folder}: {error.strerror or error}") from error
    return folder


def write_npz(path: PathLike, arrays: Mapping[str, np.ndarray], way_out: str = "use a smaller network") -> None:
    """Write named arrays to `path` atomically.

    Raises InputError, with the `way_out`, if they are more than `read_npz` would read.
    """
    size = sum(array.nbytes for array in arrays.values())
    if size > MAX_BYTES:
        raise InputError(f"{path} would have {size >> 20} MB, and a file may have {MAX_BYTES >> 20}: {way_out}")
    with atomic_write(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            entry = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            with archive.open(entry, "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asarray(array), allow_pickle=False)


def read_npz(path: PathLike) -> dict[str, np.ndarray]:
    """Read every array of the `.npz` file at `path`.

    Nothing in the file is trusted: what is no regular file is refused unopened, arrays of Python objects unread,
    and anything larger than 256 MB (compressed: 64 MB) before memory is taken for it.

    Raises:
        FileError: if the file is missing, cut short, damaged, or not an archive of plain arrays.
    """
    path = as_path(path)
    with _readable(path), open_regular(path, MAX_BYTES + _MAX_MEMBERS * _PIECE) as file:
        with zipfile.ZipFile(file) as archive:
            return _read_members(archive)


def map_npz(path: PathLike) -> dict[str, np.ndarray]:
    """Return every array of an `.npz` file that `write_npz` wrote, read-only: the file itself, mapped into memory.

    So only what is looked at takes memory, and that can be taken back. The file is read through once, and trusted as
    little as by `read_npz`.

    Raises:
        FileError: as `read_npz`, and if it is compressed.
    """
    path = as_path(path)
    with _readable(path), open_regular(path, MAX_BYTES + _MAX_MEMBERS * _PIECE) as file:
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
            if len(members) > _MAX_MEMBERS:
                raise ValueError(f"{len(members)} members are more than the {_MAX_MEMBERS} allowed")
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            return {_array_name(member): _map_member(archive, member, mapped) for member in members}


@contextlib.contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Raise FileError for whatever reading a damaged archive at `path` raises."""
    try:
        yield
    except FileError:
        raise
    except OSError as error:
        raise FileError(f"cannot read {path}: {error.strerror or error}") from error
    except (
        zipfile.BadZipFile, zlib.error, struct.error, ValueError, TypeError, KeyError, EOFError, IndexError,
        NotImplementedError, RuntimeError, SyntaxError, OverflowError, MemoryError, RecursionError,
    ) as error:  # fmt: skip
        raise FileError(f"{path} is not a file this can read, or it is damaged: {shorten(str(error))}") from None


def _read_members(archive: zipfile.ZipFile) -> dict[str, np.ndarray]:
    members = archive.infolist()
    if len(members) > _MAX_MEMBERS:
        raise ValueError(f"{len(members)} members are more than the {_MAX_MEMBERS} allowed")
    packed = [member for member in members if member.compress_type != zipfile.ZIP_STORED]
    for some, limit in ((members, MAX_BYTES + _MAX_MEMBERS * _PIECE), (packed, _MAX_COMPRESSED)):
        if sum(member.file_size for member in some) > limit:
            raise ValueError(f"its arrays are larger than {limit >> 20} MB")
    return {_array_name(member): _read_member(archive, member) for member in members}


def _array_name(member: zipfile.ZipInfo) -> str:
    name = member.filename
    if not name.endswith(".npy") or not name[:-4].isidentifier():
        raise ValueError(f"it holds {name!r}, which is no plain array")
    return name[:-4]


def _open_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, packed: bool = True) -> IO[bytes]:
    """Open one array's file in an archive; raise ValueError for one that is encrypted, or packed and not to be."""
    usual = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) if packed else (zipfile.ZIP_STORED,)
    if member.compress_type not in usual or member.flag_bits & 1:
        raise ValueError(f"{member.filename!r} is encrypted or packed in an unusual way")
    return archive.open(member)


def _check_header(member: zipfile.ZipInfo, file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype, int]:
    """Return shape, order, type and bytes of one array, checked against the archive's size of it."""
    shape, fortran, dtype = _read_array_header(file)
    if dtype.kind not in "fiubU" or dtype.itemsize == 0:
        raise ValueError(f"{member.filename!r} holds values of type {dtype}, which is not numbers or text")
    size = math.prod(shape) * dtype.itemsize
    if dtype.kind == "U" and size > 4 * _MAX_HEADER:  # four bytes a character
        raise ValueError(f"{member.filename!r} holds text of more than {_MAX_HEADER >> 20} million characters")
    if size > member.file_size:
        raise ValueError(f"{member.filename!r} promises {size} bytes and has {member.file_size}")
    return shape, fortran, dtype, size


def _pieces(member: zipfile.ZipInfo, file: IO[bytes], size: int) -> Iterator[tuple[int, bytes]]:
    """Yield the `size` bytes that are left of one array's file, and where they begin, a piece at a time.

    The archive checks its sum at the end. Raises ValueError if there are fewer, or more.
    """
    for start in range(0, size, _PIECE):
        piece = file.read(min(_PIECE, size - start))
        if len(piece) < min(_PIECE, size - start):
            raise ValueError(f"{member.filename!r} is cut short")
        yield start, piece
    if file.read(1):
        raise ValueError(f"{member.filename!r} is longer than it says")


def _read_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> np.ndarray:
    """Read one array, its size checked before any memory is taken."""
    with _open_member(archive, member) as file:
        shape, fortran, dtype, size = _check_header(member, file)
        data = np.empty(size, np.uint8)
        for start, piece in _pieces(member, file, size):  # in pieces, so that memory is not taken twice
            data[start : start + len(piece)] = np.frombuffer(piece, np.uint8)
    return _as_array(data, shape, fortran, dtype)


def _map_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, mapped: mmap.mmap) -> np.ndarray:
    """Return one array of an archive that is mapped, read through once."""
    with _open_member(archive, member, packed=False) as file:
        shape, fortran, dtype, size = _check_header(member, file)
        for _ in _pieces(member, file, size):
            pass
    # A name and something extra of these lengths stand between a member's header, of 30 bytes, and what is in it.
    n_name, n_extra = struct.unpack_from("<HH", mapped, member.header_offset + 26)
    end = member.header_offset + 30 + n_name + n_extra + member.file_size
    return _as_array(np.frombuffer(mapped, np.uint8, size, end - size), shape, fortran, dtype)


def _as_array(data: np.ndarray, shape: tuple[int, ...], fortran: bool, dtype: np.dtype) -> np.ndarray:
    array = data.view(dtype) if len(data) else np.zeros(math.prod(shape), dtype=dtype)
    return array.reshape(shape, order="F" if fortran else "C")


def _read_array_header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Read the header of a `.npy` file (format versions 1 to 3; NEP 1)."""
    major = np.lib.format.read_magic(file)[0]
    length_format = "<H" if major == 1 else "<I"
    length = struct.unpack(length_format, file.read(struct.calcsize(length_format)))[0]
    if length > 10_000:
        raise ValueError("the header of an array is too long")
    header = ast.literal_eval(file.read(length).decode("latin1"))
    shape, fortran, description = header["shape"], header["fortran_order"], header["descr"]
    if not isinstance(description, str) or not isinstance(fortran, bool) or not isinstance(shape, tuple):
        raise ValueError("the header of an array is not a plain one")
    if len(shape) > 8 or not all(type(n) is int and 0 <= n < 2**40 for n in shape):
        raise ValueError(f"an array has the impossible shape {shape}")
    return shape, fortran, np.dtype(description)


def header_array(header: Mapping[str, Any]) -> np.ndarray:
    """Return a header as an array that an archive can keep: JSON text of at most 1 MB.

    Raises InputError for what JSON cannot hold, and for more.
    """
    try:
        text = json.dumps(header, sort_keys=True, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(f"what a file keeps must be plain numbers, text, lists and dicts: {error}") from None
    if len(text) > _MAX_HEADER:
        raise InputError(f"what a file keeps may have {_MAX_HEADER:,} characters, got {len(text):,}: keep less")
    return np.array(text)


def read_header(arrays: Mapping[str, np.ndarray], path: PathLike, expected: str) -> dict[str, Any]:
    """Return the JSON header among the arrays of `path`, or raise FileError unless its format is `expected`."""
    text = arrays.get("header")
    if text is None or text.dtype.kind != "U" or text.ndim != 0:
        raise FileError(f"{path} has no header: it was not written by pisensory")
    try:
        header = json.loads(str(text))
    except (ValueError, RecursionError) as error:
        raise FileError(f"the header of {path} is damaged: {error}") from None
    if not isinstance(header, dict) or header.get("format") != expected:
        raise FileError(f"{path} is not a file of the format {expected!r}")
    if header.get("version") != VERSION:
        raise FileError(f"{path} is of version {header.get('version')!r}; this pisensory reads version {VERSION}")
    return header


def save_policy(
    path: PathLike, policy: Policy, params: Vector, task: Task | Mapping[str, Any] | None = None, **about: Any
) -> None:
    """Write a policy and its parameters to `path`, a `.npz` file.

    Args:
        path: of the file; its folder must exist.
        policy: the network.
        params: its flat vector (parameter,), kept to the bit in float64.
        task: what it was trained on, or the `config` of that; commands that read the file take it from there.
        about: anything else worth keeping that JSON can hold, such as scores.

    Raises:
        InputError: for a vector that does not fit the policy, more than a file may have (32 million parameters), or
            an `about` that JSON cannot hold in 1 MB.
        FileError: if the file cannot be written; one that was there stays as it was.

    Examples:
        >>> ps.save_policy("zeros.npz", ps.MLPPolicy(), np.zeros(113), note="anything that JSON can hold")
        >>> ps.load_policy("zeros.npz")[0].n_params
        113
    """
    check_type("policy", policy, Policy, "ps.InvariantPolicy()")
    vector = check_params(params, policy.n_params)
    if task is not None:
        config = isinstance(task, Mapping)
        about["task"] = task if config else check_type("task", task, Task, "ps.CartPoleSwingUp(), or its config").config
    header = {"format": FORMAT, "version": VERSION, "policy": policy.config, "about": about}
    write_npz(path, {"params": vector, "header": header_array(header)})


def load_policy(path: PathLike) -> tuple[Policy, np.ndarray]:
    """Return the policy and the flat vector (parameter,) of a file written by `save_policy`.

    Raises:
        FileError: if the file is missing, damaged, or holds no policy of ours.

    Examples:
        >>> ps.save_policy("policy.npz", ps.MLPPolicy(), np.zeros(113))
        >>> policy, params = ps.load_policy("policy.npz")
        >>> policy == ps.MLPPolicy(), params.shape
        (True, (113,))
    """
    policy, params, _ = load_policy_about(path)
    return policy, params


def load_policy_about(path: PathLike) -> tuple[Policy, np.ndarray, dict[str, Any]]:
    """Return policy, flat vector (parameter,) and whatever else was kept of it, as `load_policy`."""
    arrays = read_npz(path)
    header = read_header(arrays, path, FORMAT)
    try:
        policy = policy_from_config(header.get("policy"))
        params = check_params(arrays.get("params"), policy.n_params)
    except InputError as error:
        raise FileError(f"{path} holds no usable policy: {error}") from None
    about = header.get("about")
    return policy, params, about if isinstance(about, dict) else {}


def load_params(path: PathLike) -> np.ndarray:
    """Return the flat vector (parameter,) of any `.npz` file that has one, such as the published weights.

    It is the array named `params`, or else the only flat array of numbers in the file.

    Raises:
        FileError: if the file is missing or damaged, or there is no such vector in it, or several.

    Examples:
        >>> np.savez("bare.npz", params=np.zeros(913))
        >>> ps.load_params("bare.npz").shape
        (913,)
    """
    arrays = read_npz(path)
    flat = {name: array for name, array in arrays.items() if array.ndim == 1 and array.dtype.kind in "fiu"}
    if "params" not in flat and len(flat) != 1:
        raise FileError(f"{path} holds {len(flat)} flat vectors and none named 'params': which one is meant?")
    vector = flat["params"] if "params" in flat else next(iter(flat.values()))
    try:
        return check_params(vector, vector.size)
    except InputError as error:
        raise FileError(f"{path}: {error}") from None


def write_text(path: PathLike, text: str) -> None:
    """Write a text to `path`, atomically; of names that are no text the bytes are spelt out."""
    with atomic_write(path) as file:
        file.write(text.encode("utf-8", "backslashreplace"))


def write_json(path: PathLike, value: Any) -> None:
    """Write `value` as readable JSON to `path`, atomically."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True, allow_nan=False) + "\n")


def read_json(path: PathLike) -> Any:
    """Read a JSON file of at most 1 MB; raise FileError if it is missing or is none."""
    return json_from_text(read_text(path, _MAX_HEADER), path)


def json_from_text(text: str, path: PathLike) -> Any:
    """Parse `text`, the contents of `path`; raise FileError if it is no JSON."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FileError(f"{path} is damaged: {error}") from None


def read_text(path: PathLike, limit: int) -> str:
    """Read a text file of at most `limit` bytes; raise FileError if it is missing, larger, or no text."""
    path = as_path(path)
    data = bytearray()
    try:
        with open_regular(path, limit) as file:
            while len(data) <= limit and (piece := file.read(_PIECE)):  # it may grow while it is read
                data += piece
    except FileError:
        raise
    except OSError as error:
        raise FileError(f"cannot read {path}: {error.strerror or error}") from error
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise FileError(f"{path} is damaged: {error}") from None
