"""Options of llama-bench that do nothing here; they take values, as lists, where run has flags."""

from __future__ import annotations

from pyllama.commands.foreign import Foreign

_NO_GPU = "pyllama computes on the CPU"
_IN_PLACE = "weights are mapped and read in place"
_WAITING = "threads that wait spin for a moment, then sleep"
_PRIORITY = "the operating system knows how urgent a process is; start it with nice"
_ONE_KERNEL = "attention has one implementation, which is the fast one"


def _refused(why: str, *names: str, metavar: str) -> Foreign:
    return Foreign(names, why, metavar, is_refused=True)


BENCH: tuple[Foreign, ...] = (
    Foreign(("-ngl", "--n-gpu-layers"), _NO_GPU, "N"),
    Foreign(("-sm", "--split-mode"), _NO_GPU, "MODE"),
    Foreign(("-mg", "--main-gpu"), _NO_GPU, "N"),
    Foreign(("-ts", "--tensor-split"), _NO_GPU, "SHARES"),
    Foreign(("-dev", "--device"), _NO_GPU, "NAMES"),
    Foreign(("-ncmoe", "--n-cpu-moe"), _NO_GPU, "N"),
    Foreign(("-ot", "--override-tensor"), _NO_GPU, "RULES"),
    Foreign(("-nkvo", "--no-kv-offload"), _NO_GPU, "0|1"),
    Foreign(("-nopo", "--no-op-offload"), _NO_GPU, "0|1"),
    Foreign(("-fitt", "--fit-target"), _NO_GPU, "MIB"),
    Foreign(("-fitc", "--fit-ctx"), _NO_GPU, "N"),
    Foreign(("-fa", "--flash-attn"), _ONE_KERNEL, "on|off|auto"),
    Foreign(("--no-host",), _IN_PLACE, "0|1"),
    Foreign(("--repack",), _IN_PLACE, "0|1"),
    Foreign(("-mmp", "--mmap"), _IN_PLACE, "0|1"),
    Foreign(("-dio", "--direct-io"), _IN_PLACE, "0|1"),
    Foreign(("-lm", "--load-mode"), _IN_PLACE, "MODE"),
    Foreign(("-lzm", "--lazy-mode"), _IN_PLACE, "MODE"),
    Foreign(("--poll",), _WAITING, "N"),
    Foreign(("--prio",), _PRIORITY, "N"),
    _refused("there are no embeddings", "-embd", "--embeddings", metavar="0|1"),
    _refused("it computes on this machine alone", "-rpc", "--rpc", metavar="SERVERS"),
)
"""What ``pyllama bench`` answers in this way."""
