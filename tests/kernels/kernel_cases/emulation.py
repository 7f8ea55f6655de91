"""Runs cases as AArch64 code under user-mode emulation: all of them in one process."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kernel_cases.case import Case, Launch

COMPILER, EMULATOR = "aarch64-linux-gnu-gcc", "qemu-aarch64"
DRIVER = Path(__file__).with_name("driver.c")
ALIGNMENT = 64


def missing_tools() -> list[str]:
    """The programs that emulation needs and this machine does not have."""
    return [name for name in (COMPILER, EMULATOR) if shutil.which(name) is None]


class _Image:
    """The memory of a job: arrays and structs at offsets, with the places of pointers in them."""

    def __init__(self) -> None:
        self.parts: list[NDArray[np.uint8]] = []
        self.pointers: list[int] = []
        self.arrays: dict[int, tuple[NDArray[np.uint8], int]] = {}
        self.size = 0

    def append(self, data: NDArray[np.uint8]) -> int:
        """Place bytes; returns where."""
        place = self.size
        gap = -data.size % ALIGNMENT
        self.parts += [data, np.zeros(gap, np.uint8)]
        self.size += data.size + gap
        return place

    def array(self, array: NDArray[np.generic]) -> int:
        """Place an array, unless it has a place."""
        address = int(array.ctypes.data)
        if address not in self.arrays:
            data = array.reshape(-1).view(np.uint8)
            self.arrays[address] = data, self.append(data)
        return self.arrays[address][1]

    def structs(self, launch: Launch) -> list[int]:
        """Place the structs that a kernel is called with."""
        places = []
        for struct, values in launch.structs:
            numbers = {
                name: self.array(value) if isinstance(value, np.ndarray) else value
                for name, value in values.items()
            }
            place = self.append(struct.pack(numbers).view(np.uint8))
            arrays = (name for name, value in values.items() if isinstance(value, np.ndarray))
            self.pointers += [place + struct.offsets[name] for name in arrays]
            places.append(place)
        return places

    def restore(self, memory: NDArray[np.uint8]) -> None:
        """Copy what arrays became back into them."""
        for data, place in self.arrays.values():
            data[:] = memory[place : place + data.size]


def emulate(cases: Iterable[Case], objects: dict[str, bytes], folder: Path) -> None:
    """Run the launches of all cases; ``objects``: object code of all their kernels, by symbol."""
    launches = [launch for case in cases for launch in case.launches]
    symbols = sorted(objects)
    image = _Image()
    table = [
        (symbols.index(launch.kernel.symbol), *image.structs(launch), launch.tasks, 0)
        for launch in launches
    ]
    numbers = [image.size, len(image.pointers), len(table)]
    numbers += image.pointers + [n for row in table for n in row]
    job, result = folder / "job", folder / "result"
    job.write_bytes(b"".join([np.array(numbers, "<i8").tobytes(), *map(bytes, image.parts)]))
    program = _link(symbols, objects, folder)
    _execute([EMULATOR, str(program), str(job), str(result)])
    image.restore(np.fromfile(result, np.uint8))


def _link(symbols: Sequence[str], objects: dict[str, bytes], folder: Path) -> Path:
    names = []
    for number, symbol in enumerate(symbols):
        path = folder / f"{number}.o"  # symbols are longer than names of files may be
        path.write_bytes(objects[symbol])
        names.append(path.name)
    (folder / "kernels.h").write_text("".join(f"KERNEL({symbol})\n" for symbol in symbols))
    program = folder / "program"
    _execute([COMPILER, "-static", "-O1", "-Wall", "-Werror", f"-I{folder}", "-o", str(program),
              str(DRIVER), *(str(folder / name) for name in names)])  # fmt: skip
    return program


def _execute(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, f"{command[0]} ended with {done.returncode}: {done.stderr}"
