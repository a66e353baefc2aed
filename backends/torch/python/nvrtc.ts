/** `nvrtc.py` of an emitted package, the same in every one. Compilation at first use and the cache on disk. */
export const nvrtcPython: string = String.raw`"""Kernels from their CUDA text: NVRTC, found where PyTorch brings it, and a cache of what it made."""
from __future__ import annotations

import ctypes
import glob
import hashlib
import os
import re
import sys
import tempfile
import threading
from ctypes import POINTER, byref, c_char_p, c_int, c_size_t, c_void_p
from pathlib import Path
from typing import Iterator, List, Tuple

import torch

from . import driver

_lock = threading.Lock()
_compiler = None

_SIGNATURES = {
    "nvrtcVersion": (POINTER(c_int), POINTER(c_int)),
    "nvrtcGetNumSupportedArchs": (POINTER(c_int),),
    "nvrtcGetSupportedArchs": (POINTER(c_int),),
    "nvrtcCreateProgram": (POINTER(c_void_p), c_char_p, c_char_p, c_int, POINTER(c_char_p), POINTER(c_char_p)),
    "nvrtcDestroyProgram": (POINTER(c_void_p),),
    "nvrtcCompileProgram": (c_void_p, c_int, POINTER(c_char_p)),
    "nvrtcGetProgramLogSize": (c_void_p, POINTER(c_size_t)),
    "nvrtcGetProgramLog": (c_void_p, c_char_p),
    "nvrtcGetCUBINSize": (c_void_p, POINTER(c_size_t)),
    "nvrtcGetCUBIN": (c_void_p, c_char_p),
    "nvrtcGetPTXSize": (c_void_p, POINTER(c_size_t)),
    "nvrtcGetPTX": (c_void_p, c_char_p),
}


def _loaded_libraries() -> List[str]:
    """Copies of NVRTC that this process has loaded already."""
    try:
        with open("/proc/self/maps", encoding="utf-8", errors="replace") as maps:
            paths = {line.split(maxsplit=5)[-1].strip() for line in maps if "libnvrtc.so" in line}
    except OSError:
        return []
    return sorted(path for path in paths if os.path.isfile(path))


def _candidates() -> Iterator[str]:
    """Paths and names of NVRTC, the surest first."""
    given = os.environ.get("STATEFUSE_NVRTC")
    if given:
        yield given
        return
    yield from _loaded_libraries()
    torch_folder = Path(torch.__file__).resolve().parent
    major = (torch.version.cuda or "").split(".")[0]
    pattern = "nvrtc64_*_0.dll" if os.name == "nt" else "libnvrtc.so*"
    folders = [torch_folder / "lib", *sorted(torch_folder.parent.glob("nvidia/*/lib"), reverse=True)]
    for root in sys.path:
        folders.extend(sorted(Path(root or ".").glob("nvidia/*/lib"), reverse=True))
    for variable in ("CUDA_HOME", "CUDA_PATH"):
        if os.environ.get(variable):
            folders += [Path(os.environ[variable]) / "lib64", Path(os.environ[variable]) / "bin"]
    folders += [Path("/usr/local/cuda/lib64"), Path("/usr/lib/x86_64-linux-gnu")]
    found = [path for folder in folders for path in sorted(glob.glob(str(folder / pattern)), reverse=True)]
    matching = [path for path in found if major and f".so.{major}" in os.path.basename(path)]
    yield from matching
    yield from (path for path in found if path not in matching)
    if os.name != "nt":
        yield from (f"libnvrtc.so.{number}" for number in (major, "13", "12") if number)


def _load(path: str) -> ctypes.CDLL:
    """NVRTC opens a second library by name: one that lies beside it is loaded first, so that it is found."""
    for beside in sorted(glob.glob(os.path.join(os.path.dirname(path), "libnvrtc-builtins.so*"))):
        try:
            ctypes.CDLL(beside, mode=ctypes.RTLD_GLOBAL)
        except OSError:
            pass
    return ctypes.CDLL(path)


class _Compiler:
    """NVRTC: which version it is and which architectures it knows."""

    def __init__(self, library: ctypes.CDLL) -> None:
        for name, parameters in _SIGNATURES.items():
            getattr(library, name).argtypes = parameters
            getattr(library, name).restype = c_int
        self.library = library
        major, minor, count = c_int(), c_int(), c_int()
        library.nvrtcVersion(byref(major), byref(minor))
        self.version = (major.value, minor.value)
        library.nvrtcGetNumSupportedArchs(byref(count))
        known = (c_int * count.value)()
        library.nvrtcGetSupportedArchs(known)
        self.architectures = sorted(known)


def _open() -> _Compiler:
    global _compiler
    with _lock:
        if _compiler is not None:
            return _compiler
        tried: List[str] = []
        for path in _candidates():
            try:
                _compiler = _Compiler(_load(path))
                return _compiler
            except (OSError, AttributeError) as error:
                tried.append(f"{path} ({error})")
        raise RuntimeError(
            "NVRTC, which compiles the kernels, was not found. PyTorch's CUDA wheels bring it; otherwise name the "
            "library in STATEFUSE_NVRTC. Tried: " + ("; ".join(tried) or "nothing to try")
        )


def _target(compiler: _Compiler, capability: Tuple[int, int]) -> Tuple[str, str]:
    """The architecture to compile for and the kind of code: of the device itself, else PTX of an older one."""
    wanted = capability[0] * 10 + capability[1]
    if wanted in compiler.architectures:
        return f"sm_{wanted}", "CUBIN"
    older = [each for each in compiler.architectures if each <= wanted]
    if not older:
        raise RuntimeError(f"NVRTC {compiler.version} does not know devices of compute capability {capability}")
    return f"compute_{older[-1]}", "PTX"


def _compile(compiler: _Compiler, text: str, options: List[str], kind: str) -> bytes:
    library = compiler.library
    program = c_void_p()
    code = library.nvrtcCreateProgram(byref(program), text.encode(), b"kernels.cu", 0, None, None)
    if code != 0:
        raise RuntimeError(f"NVRTC refused the text of the kernels (error {code})")
    try:
        given = (c_char_p * len(options))(*(each.encode() for each in options))
        code = library.nvrtcCompileProgram(program, len(options), given)
        size = c_size_t()
        if code != 0:
            library.nvrtcGetProgramLogSize(program, byref(size))
            log = ctypes.create_string_buffer(size.value)
            library.nvrtcGetProgramLog(program, log)
            said = log.value.decode(errors="replace")[:4000]
            raise RuntimeError(f"NVRTC {compiler.version} could not compile the kernels ({options}):\n{said}")
        getattr(library, f"nvrtcGet{kind}Size")(program, byref(size))
        image = ctypes.create_string_buffer(size.value)
        getattr(library, f"nvrtcGet{kind}")(program, image)
        return image.raw[: size.value]
    finally:
        library.nvrtcDestroyProgram(byref(program))


def cache_folder() -> Path:
    """STATEFUSE_CACHE_DIR, else 'statefuse' below XDG_CACHE_HOME or ~/.cache."""
    given = os.environ.get("STATEFUSE_CACHE_DIR")
    if given:
        return Path(given)
    root = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return Path(root) / "statefuse"


def _read(path: Path) -> bytes:
    """A cached image, or nothing where it is missing or damaged: its digest stands before it."""
    try:
        stored = path.read_bytes()
    except OSError:
        return b""
    digest, image = stored[:32], stored[32:]
    return image if hashlib.sha256(image).digest() == digest else b""


def _write(path: Path, image: bytes) -> None:
    """Puts an image into the cache whole or not at all; a cache that cannot be written is left alone."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle, temporary = tempfile.mkstemp(dir=str(path.parent))
        with os.fdopen(handle, "wb") as file:
            file.write(hashlib.sha256(image).digest() + image)
        os.replace(temporary, path)
    except OSError:
        pass


def image_of(text: str, capability: Tuple[int, int], label: str) -> bytes:
    """The kernels of a text as code for devices of one capability, from the cache or compiled now."""
    compiler = _open()
    architecture, kind = _target(compiler, capability)
    options = [f"--gpu-architecture={architecture}", "--std=c++17"]
    parts = [text, *options, kind, str(compiler.version), str(driver.version())]
    key = hashlib.sha256("\0".join(parts).encode()).hexdigest()
    path = cache_folder() / f"{re.sub(r'[^A-Za-z0-9_.-]', '_', label)}-{key[:40]}.{kind.lower()}"
    image = _read(path)
    if not image:
        image = _compile(compiler, text, options, kind)
        _write(path, image)
    return image
`;
