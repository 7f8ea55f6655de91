"""What is shown of the divergence of two models."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from pyllama.commands.perplexity_views import View, finite
from pyllama.perplexity.estimate import Measured
from pyllama.perplexity.measure import Record
from pyllama.perplexity.statistics import (
    KLD_QUANTILES,
    P_DIFF_QUANTILES,
    Divergence,
    quantiles,
)

FEWEST_TOKENS = 100
"""Of fewer there are no statistics at the end."""

PERCENT = 100.0

_MEASURES: dict[str, Callable[[Divergence], Measured]] = {
    "ppl": lambda d: d.ppl,
    "ppl_base": lambda d: d.ppl_base,
    "log_ppl_ratio": lambda d: d.log_ratio,
    "ppl_ratio": lambda d: d.ppl_ratio,
    "ppl_difference": lambda d: d.ppl_difference,
    "kld": lambda d: d.kld,
    "p_diff": lambda d: d.p_diff,
    "p_diff_rms": lambda d: d.p_diff_rms,
    "same_top_p": lambda d: d.same_top,
}
"""By their names in JSON."""

_NAMES = {1.0: "Maximum", 0.5: "Median ", 0.0: "Minimum"}
"""Of quantiles; others are percentages."""


class DivergenceView(View):
    """A row for each chunk, of the tokens so far; all statistics at the end."""

    head = (
        "\nchunk             PPL               ln(PPL(Q)/PPL(base))          KL Divergence    "
        "          Δp RMS            Same top p\n"
    )

    def __init__(self) -> None:
        self._sums = Divergence()
        self._records: list[Record] = []

    def add(self, record: Record) -> str:
        """The row."""
        self._records.append(record)
        self._sums = now = self._sums.plus(record)
        rms, same = now.p_diff_rms.scaled(PERCENT), now.same_top.scaled(PERCENT)
        columns = (
            f"{len(self._records):4d}",
            f"{now.ppl.value:9.4f} ± {now.ppl.error:9.4f}",
            f"{now.log_ratio.value:10.5f} ± {now.log_ratio.error:10.5f}",
            f"{now.kld.value:10.5f} ± {now.kld.error:10.5f}",
            f"{rms.value:6.3f} ± {rms.error:6.3f} %",
            f"{same.value:6.3f} ± {same.error:6.3f} %",
        )
        return "    ".join(columns) + "\n"

    def foot(self) -> str:
        """The statistics."""
        if self._sums.count < FEWEST_TOKENS:
            return "\n"
        return "\n" + "\n".join((self._perplexities(), self._divergences(), self._probabilities()))

    @property
    def so_far(self) -> str:
        """Mean divergence and its error."""
        kld = self._sums.kld
        return f"KLD = {kld.value:.5f} +/- {kld.error:.5f}"

    def document(self) -> dict[str, Any]:
        """Means of each chunk, and the statistics."""
        chunks = [
            {"tokens": len(record["nll"])}
            | {name: float(values.mean()) for name, values in record.items()}
            for record in self._records
        ]
        result: dict[str, Any] = {"tokens": self._sums.count}
        for name, of in _MEASURES.items():
            measured = of(self._sums)
            result[name] = finite(measured.value)
            result[f"{name}_error"] = finite(measured.error)
        result["correlation"] = finite(self._sums.correlation)
        for name, shares in (("kld", KLD_QUANTILES), ("p_diff", P_DIFF_QUANTILES)):
            found = quantiles(self._all(name), shares)
            result[f"{name}_quantiles"] = {str(share): value for share, value in found.items()}
        return {"chunks": chunks, "result": result}

    def _all(self, name: str) -> np.ndarray[Any, np.dtype[np.float64]]:
        return np.concatenate([record[name] for record in self._records])

    def _perplexities(self) -> str:
        sums = self._sums
        rows = (
            ("Mean PPL(Q)                   ", sums.ppl),
            ("Mean PPL(base)                ", sums.ppl_base),
            ("Mean ln(PPL(Q)/PPL(base))     ", sums.log_ratio),
            ("Mean PPL(Q)/PPL(base)         ", sums.ppl_ratio),
            ("Mean PPL(Q)-PPL(base)         ", sums.ppl_difference),
        )
        lines = [f"{name}: {m.value:10.6f} ± {m.error:10.6f}\n" for name, m in rows]
        correlation = f"Cor(ln(PPL(Q)), ln(PPL(base))): {PERCENT * sums.correlation:6.2f}%\n"
        lines.insert(2, correlation)
        return "====== Perplexity statistics ======\n" + "".join(lines)

    def _divergences(self) -> str:
        mean = self._sums.kld
        lines = [
            "====== KL divergence statistics ======\n",
            f"Mean    KLD: {mean.value:10.6f} ± {mean.error:10.6f}\n",
        ]
        for share, value in quantiles(self._all("kld"), KLD_QUANTILES).items():
            lines.append(f"{_name(share)} KLD: {value:10.6f}\n")
        return "".join(lines)

    def _probabilities(self) -> str:
        mean = self._sums.p_diff.scaled(PERCENT)
        lines = [
            "====== Token probability statistics ======\n",
            f"Mean    Δp: {mean.value:6.3f} ± {mean.error:5.3f} %\n",
        ]
        for share, value in quantiles(self._all("p_diff"), P_DIFF_QUANTILES).items():
            lines.append(f"{_name(share)} Δp: {PERCENT * value:6.3f}%\n")
        for name, measured in (
            ("RMS Δp    ", self._sums.p_diff_rms),
            ("Same top p", self._sums.same_top),
        ):
            shown = measured.scaled(PERCENT)
            lines.append(f"{name}: {shown.value:6.3f} ± {shown.error:5.3f} %\n")
        return "".join(lines)


def _name(share: float) -> str:
    return _NAMES.get(share) or f"{PERCENT * share:4.1f}%  "
