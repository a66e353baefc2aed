/** `driver.py` of an emitted package, the same in every one. The CUDA driver through ctypes. */
export const driverPython: string = String.raw`"""The few functions of the CUDA driver that loading and launching kernels takes, through ctypes."""
from __future__ import annotations

import ctypes
import os
import threading
from ctypes import POINTER, byref, c_char_p, c_int, c_void_p

INVALID_CONTEXT = 201
_MAX_DYNAMIC_SHARED = 8  # CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES

_lock = threading.Lock()
_library = None

_SIGNATURES = {
    "cuGetErrorName": (c_int, POINTER(c_char_p)),
    "cuGetErrorString": (c_int, POINTER(c_char_p)),
    "cuDriverGetVersion": (POINTER(c_int),),
    "cuCtxGetCurrent": (POINTER(c_void_p),),
    "cuCtxSetCurrent": (c_void_p,),
    "cuModuleLoadData": (POINTER(c_void_p), c_char_p),
    "cuModuleGetFunction": (POINTER(c_void_p), c_void_p, c_char_p),
    "cuFuncSetAttribute": (c_void_p, c_int, c_int),
    "cuLaunchKernelEx": (c_void_p, c_void_p, c_void_p, c_void_p),
}


def library() -> ctypes.CDLL:
    """The driver's library, loaded once."""
    global _library
    with _lock:
        if _library is None:
            name = "nvcuda.dll" if os.name == "nt" else "libcuda.so.1"
            try:
                loaded = ctypes.CDLL(name)
            except OSError as error:
                raise RuntimeError(f"the NVIDIA driver's library {name} cannot be loaded: {error}") from error
            for function, parameters in _SIGNATURES.items():
                getattr(loaded, function).argtypes = parameters
                getattr(loaded, function).restype = c_int
            _library = loaded
        return _library


def check(code: int, doing: str) -> None:
    """Raises what the driver says about a failed call."""
    if code == 0:
        return
    name, text = c_char_p(), c_char_p()
    library().cuGetErrorName(code, byref(name))
    library().cuGetErrorString(code, byref(text))
    said = ": ".join(each.value.decode() for each in (name, text) if each.value)
    raise RuntimeError(f"{doing} failed: {said or f'error {code}'}")


def version() -> int:
    """The driver's CUDA version, as 13000 for 13.0."""
    number = c_int()
    check(library().cuDriverGetVersion(byref(number)), "asking for the driver's version")
    return number.value


def current_context() -> int:
    """The context of this thread; PyTorch must have used the device before."""
    context = c_void_p()
    check(library().cuCtxGetCurrent(byref(context)), "asking for the context")
    return context.value or 0


def load_module(image: bytes) -> c_void_p:
    """A module of the current context. It stays loaded until the process ends."""
    module = c_void_p()
    check(library().cuModuleLoadData(byref(module), image), "loading kernels")
    return module


def function_of(module: c_void_p, name: str, shared_bytes: int) -> int:
    """A kernel's handle; 'shared_bytes' is the dynamic shared memory of its launches."""
    function = c_void_p()
    check(library().cuModuleGetFunction(byref(function), module, name.encode()), f"finding the kernel {name}")
    if shared_bytes > 0:
        code = library().cuFuncSetAttribute(function, _MAX_DYNAMIC_SHARED, shared_bytes)
        check(code, f"reserving {shared_bytes} bytes of shared memory for {name}")
    return function.value or 0


#: A launch's configuration (grid, block, shared memory, stream, no attributes), then the bytes of its arguments.
LAUNCH_FORMAT = "<7I4xQQI4xQ"
_ARGUMENTS_AT = 64


class LaunchBuffer(threading.local):
    """One buffer per thread that a launch is packed into; the driver has copied it when the call returns."""

    capacity = 4096

    def __init__(self) -> None:
        self.bytes = ctypes.create_string_buffer(_ARGUMENTS_AT + self.capacity)
        self.address = ctypes.addressof(self.bytes)
        # CU_LAUNCH_PARAM_BUFFER_POINTER, CU_LAUNCH_PARAM_BUFFER_SIZE, CU_LAUNCH_PARAM_END
        self.extra = (c_void_p * 5)(1, self.address + _ARGUMENTS_AT, 2, self.address + _ARGUMENTS_AT - 8, 0)
        self.extra_address = ctypes.addressof(self.extra)
`;
