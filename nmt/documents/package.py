"""Documents that are ZIP archives of XML files. An archive is not believed: what unpacks to too much is refused."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Mapping

from nmt.documents.base import Limits
from nmt.errors import DocumentError, DocumentTooLarge

_BLOCK = 1 << 16
_DAMAGES = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError, OSError)
"""What reading a damaged archive raises."""
_IS_UTF_8 = 0x800


class Package:
    """The files of an archive, unpacked."""

    def __init__(self, data: bytes, limits: Limits, name: str) -> None:
        """`name`: of the format, for errors. Raises DocumentError for what is no such archive, damaged or too large."""
        self._name = name
        try:
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                self._infos = {_name(info): info for info in archive.infolist()}
                self._count = len(archive.infolist())
                self._comment = archive.comment
                self._check(limits)
                self.files = self._unpacked(archive, limits)
        except _DAMAGES as error:
            raise DocumentError(f"not a {name} file, or damaged ({str(error)[:100]})") from None

    def write(self, changed: Mapping[str, bytes]) -> bytes:
        """The archive with some files replaced; order, names, dates and ways of packing stay."""
        output = io.BytesIO()
        with zipfile.ZipFile(output, "w") as archive:
            archive.comment = self._comment
            for name, info in self._infos.items():
                copy = zipfile.ZipInfo(name, info.date_time)
                copy.compress_type = info.compress_type
                copy.external_attr, copy.create_system = info.external_attr, info.create_system
                copy.comment = info.comment
                archive.writestr(copy, changed.get(name, self.files[name]))
        return output.getvalue()

    def _check(self, limits: Limits) -> None:
        if self._count > limits.max_entries:
            raise DocumentTooLarge(f"more than {limits.max_entries:,} files in it")
        if len(self._infos) < self._count:
            raise DocumentError(f"not a {self._name} file: two files in it have one name")
        if any(info.flag_bits & 0x1 for info in self._infos.values()):
            raise DocumentError("protected by a password: save it without one")

    def _unpacked(self, archive: zipfile.ZipFile, limits: Limits) -> dict[str, bytes]:
        files: dict[str, bytes] = {}
        left = limits.max_bytes
        for name, info in self._infos.items():
            blocks: list[bytes] = []
            with archive.open(info) as file:
                while block := file.read(_BLOCK):
                    left -= len(block)
                    if left < 0:
                        raise DocumentTooLarge(f"unpacks to more than {limits.max_bytes:,} bytes", place=name)
                    blocks.append(block)
            files[name] = b"".join(blocks)
        return files


def _name(info: zipfile.ZipInfo) -> str:
    """A file's name. Info-ZIP writes UTF-8 without saying so, and what does not say so is read as code page 437."""
    if info.flag_bits & _IS_UTF_8:
        return info.filename
    try:
        return info.filename.encode("cp437").decode("utf-8")
    except UnicodeError:
        return info.filename
