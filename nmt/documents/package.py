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


class Package:
    """The files of an archive, unpacked."""

    def __init__(self, data: bytes, limits: Limits, name: str) -> None:
        """`name`: of the format, for errors. Raises DocumentError for what is no such archive, damaged or too large."""
        self._name = name
        try:
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                self._infos = archive.infolist()
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
            for info in self._infos:
                copy = zipfile.ZipInfo(info.filename, info.date_time)
                copy.compress_type = info.compress_type
                copy.external_attr, copy.create_system = info.external_attr, info.create_system
                copy.comment = info.comment
                archive.writestr(copy, changed.get(info.filename, self.files[info.filename]))
        return output.getvalue()

    def _check(self, limits: Limits) -> None:
        if len(self._infos) > limits.max_entries:
            raise DocumentTooLarge(f"more than {limits.max_entries:,} files in it")
        if len({info.filename for info in self._infos}) < len(self._infos):
            raise DocumentError(f"not a {self._name} file: two files in it have one name")
        if any(info.flag_bits & 0x1 for info in self._infos):
            raise DocumentError("protected by a password: save it without one")

    def _unpacked(self, archive: zipfile.ZipFile, limits: Limits) -> dict[str, bytes]:
        files: dict[str, bytes] = {}
        left = limits.max_bytes
        for info in self._infos:
            blocks: list[bytes] = []
            with archive.open(info) as file:
                while block := file.read(_BLOCK):
                    left -= len(block)
                    if left < 0:
                        raise DocumentTooLarge(f"unpacks to more than {limits.max_bytes:,} bytes", place=info.filename)
                    blocks.append(block)
            files[info.filename] = b"".join(blocks)
        return files
