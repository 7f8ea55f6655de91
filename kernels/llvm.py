"""The one place that talks to LLVM itself: what the host can do, compiling, linking into memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from itertools import count

import llvmlite
import llvmlite.binding as binding

VERSION = ".".join(map(str, (*binding.llvm_version_info, llvmlite.__version__)))

_library_numbers = count()


@cache
def host_features() -> frozenset[str]:
    """Features of this processor that its operating system enabled, by LLVM's names."""
    return frozenset(name for name, present in binding.get_host_cpu_features().items() if present)


@cache
def host_triple() -> str:
    """Architecture and system of this process, which decide how functions are called."""
    return str(binding.get_process_triple())


@cache
def _target_machine(triple: str, cpu: str, features: str) -> binding.TargetMachine:
    binding.initialize_all_targets()
    binding.initialize_all_asmprinters()
    target = binding.Target.from_triple(triple)
    return target.create_target_machine(
        cpu=cpu, features=features, opt=3, reloc="pic", codemodel=_code_model(triple)
    )


def _code_model(triple: str) -> str:
    """Constants are read relative to the code: the linker puts an object's parts side by side.

    On Windows another linker is in use, which promises nothing of the kind.
    """
    return "jitdefault" if "windows" in triple else "small"


def _optimized(source: str, machine: binding.TargetMachine) -> binding.ModuleRef:
    module = binding.parse_assembly(source)
    module.verify()
    module.data_layout = str(machine.target_data)
    options = binding.create_pipeline_tuning_options(speed_level=3)
    # Kernels are written as vectors and unrolled by hand; the rest is remainders and set-up.
    options.loop_vectorization = options.slp_vectorization = options.loop_unrolling = False
    passes = binding.create_pass_builder(machine, options)
    passes.getModulePassManager().run(module, passes)
    return module


def compile_object(source: str, triple: str, cpu: str, features: Sequence[str]) -> bytes:
    """Object code of a module of LLVM IR."""
    machine = _target_machine(triple, cpu, ",".join(f"+{f}" for f in features))
    return bytes(machine.emit_object(_optimized(source, machine)))


def assembly(source: str, triple: str, cpu: str, features: Sequence[str]) -> str:
    """Assembly of a module of LLVM IR, to be read by people and tests."""
    machine = _target_machine(triple, cpu, ",".join(f"+{f}" for f in features))
    return str(machine.emit_assembly(_optimized(source, machine)))


@cache
def _jit() -> binding.LLJIT:
    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    return binding.create_lljit_compiler()


class Linked:
    """Object code in memory; the addresses are valid as long as this lives."""

    def __init__(self, objects: Mapping[str, bytes]) -> None:
        """``objects``: object code by the name of the function it defines."""
        library = binding.JITLibraryBuilder()
        for name, data in objects.items():
            library.add_object_img(data).export_symbol(name)
        library.add_current_process()
        self._tracker = library.link(_jit(), f"pyllama{next(_library_numbers)}")

    def __getitem__(self, name: str) -> int:
        return int(self._tracker[name])
