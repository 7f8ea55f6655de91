"""The public names of the package."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pyllama

ROOT = Path(__file__).resolve().parent.parent


def test_every_public_name_is_there() -> None:
    assert sorted(pyllama.__all__) == sorted([*pyllama._PLACES, "__version__"])
    for name in pyllama.__all__:
        assert getattr(pyllama, name) is not None


def test_no_module_hides_a_name() -> None:
    code = (
        "import pyllama.generation, pyllama.model, pyllama.session, pyllama.sampling, types\n"
        "names = [getattr(pyllama, name) for name in pyllama.__all__]\n"
        "print([value for value in names if isinstance(value, types.ModuleType)])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_version_is_that_of_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert pyllama.__version__ == project["version"]


def test_import_is_cheap() -> None:
    code = "import sys, pyllama; print(sorted({'numpy', 'llvmlite', 'rich'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
