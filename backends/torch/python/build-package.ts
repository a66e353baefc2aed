/** `build_package.py` of an emitted package, the same in every one. The build back end of the package: it makes the wheel with nothing but Python. */
export const buildPackagePython: string = String.raw`"""Builds the wheel: a zip of Python and CUDA text. It needs nothing but Python, so that 'pip install' works offline."""
from __future__ import annotations

import base64
import hashlib
import io
import re
import tarfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent


def _field(name: str) -> str:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    return re.search(rf'^{name} = "(.*)"$', text, re.MULTILINE).group(1)


NAME, VERSION = _field("name"), _field("version")
_INFO = f"{NAME}-{VERSION}.dist-info"
_METADATA = f"""Metadata-Version: 2.1
Name: {NAME}
Version: {VERSION}
Summary: {_field("description")}
Requires-Python: {_field("requires-python")}
Requires-Dist: torch>=2.4
Description-Content-Type: text/markdown

"""
_WHEEL = "Wheel-Version: 1.0\nGenerator: statefuse\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


def _package_files():
    for path in sorted((ROOT / NAME).rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            yield path.relative_to(ROOT).as_posix(), path.read_bytes()


def _information():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    yield f"{_INFO}/METADATA", (_METADATA + readme).encode()
    yield f"{_INFO}/WHEEL", _WHEEL.encode()


def _write_wheel(directory: str, files) -> str:
    name = f"{NAME}-{VERSION}-py3-none-any.whl"
    record = []
    with zipfile.ZipFile(Path(directory) / name, "w", zipfile.ZIP_DEFLATED) as wheel:
        for path, content in files:
            digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
            record.append(f"{path},sha256={digest},{len(content)}")
            wheel.writestr(zipfile.ZipInfo(path, (2020, 1, 1, 0, 0, 0)), content)
        wheel.writestr(f"{_INFO}/RECORD", "\n".join([*record, f"{_INFO}/RECORD,,", ""]))
    return name


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    return _write_wheel(wheel_directory, [*_package_files(), *_information()])


def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
    return _write_wheel(wheel_directory, [(f"{NAME}.pth", f"{ROOT}\n".encode()), *_information()])


def build_sdist(sdist_directory, config_settings=None):
    name = f"{NAME}-{VERSION}"
    with tarfile.open(Path(sdist_directory) / f"{name}.tar.gz", "w:gz") as archive:
        for path in sorted(ROOT.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                archive.add(path, f"{name}/{path.relative_to(ROOT).as_posix()}")
        metadata = (_METADATA + "").encode()
        entry = tarfile.TarInfo(f"{name}/PKG-INFO")
        entry.size = len(metadata)
        archive.addfile(entry, io.BytesIO(metadata))
    return f"{name}.tar.gz"
`;
