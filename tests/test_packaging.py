"""What is installed is what the folders hold, and a wheel works away from the checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def packages() -> set[str]:
    """Dotted names of all folders with Python files, as they are installed."""
    found = set()
    for top, prefix in (("pyllama", ""), ("commands", "pyllama."), ("kernels", "pyllama.")):
        for init in (ROOT / top).rglob("__init__.py"):
            found.add(prefix + ".".join(init.parent.relative_to(ROOT).parts))
    return found


def test_every_folder_is_listed() -> None:
    listed = PROJECT["tool"]["setuptools"]["packages"]
    assert listed == sorted(packages())


def test_every_folder_with_python_files_is_a_package() -> None:
    for top in ("pyllama", "commands", "kernels"):
        for file in (ROOT / top).rglob("*.py"):
            assert (file.parent / "__init__.py").exists(), file


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scripts folder of a fresh environment with the wheel; dependencies come from ours."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    ignored = shutil.ignore_patterns(".*", "build", "dist", "*.egg-info", "__pycache__", "tests")
    shutil.copytree(ROOT, source, ignore=ignored)
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder)]
    subprocess.run([*build, str(source)], check=True, capture_output=True)
    (wheel,) = folder.glob("pyllama-*.whl")
    venv.create(folder / "env", with_pip=False)
    site = Path(
        sysconfig.get_path("purelib", vars={"base": str(folder / "env")}, scheme="venv")
        if "venv" in sysconfig.get_scheme_names()
        else next((folder / "env").rglob("site-packages"))
    )
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*pip, "--target", str(site), str(wheel)], check=True)
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    return folder


def test_a_wheel_runs_the_main_job_outside_the_checkout(installed: Path) -> None:
    scripts = "Scripts" if os.name == "nt" else "bin"
    python = installed / "env" / scripts / Path(sys.executable).name
    code = "import pyllama.kernels, pyllama.commands; print(pyllama.kernels.__file__)"
    where = subprocess.run([python, "-c", code], capture_output=True, text=True, cwd=installed)
    assert str(installed) in where.stdout, where.stderr
    command = [
        python,
        "-m",
        "pyllama",
        "run",
        "-p",
        "def read_lines(path):",
        "-n",
        "8",
        "--temp",
        "0",
    ]
    done = subprocess.run(command, capture_output=True, text=True, cwd=installed)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("def read_lines(path):")
    assert len(done.stdout) > len("def read_lines(path):") + 8
