"""What is shown of tasks with several answers."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

from pyllama.commands.perplexity_views import View
from pyllama.perplexity.measure import Record
from pyllama.perplexity.tasks import Task, wilson_interval

PERCENT = 100.0

FEWEST_TASKS = 100
"""Of fewer llama-perplexity gives no final score for WinoGrande."""


class TaskView(View):
    """A line for each task."""

    def __init__(self, tasks: Sequence[Task]) -> None:
        self._tasks = tasks
        self._chosen: list[int] = []
        self._log_probs: list[list[float]] = []
        self._right = 0

    def add(self, record: Record) -> str:
        """The line."""
        log_probs = record["log_probs"].tolist()
        task, chosen = self._tasks[len(self._chosen)], self._choice(log_probs)
        self._log_probs.append(log_probs)
        self._chosen.append(chosen)
        self._right += chosen in task.right
        return self._line()

    @property
    def count(self) -> int:
        """Tasks so far."""
        return len(self._chosen)

    @property
    def accuracy(self) -> float:
        """Share of the tasks so far that were solved."""
        return self._right / self.count

    @property
    def so_far(self) -> str:
        """The share."""
        return f"accuracy = {PERCENT * self.accuracy:.2f} %"

    def document(self) -> dict[str, Any]:
        """Every task, and the result."""
        tasks = [
            {"log_probs": log_probs, "chosen": chosen, "right": sorted(task.right)}
            for log_probs, chosen, task in zip(
                self._log_probs, self._chosen, self._tasks, strict=True
            )
        ]
        low, high = wilson_interval(self._right, self.count)
        result = {
            "tasks": self.count,
            "right": self._right,
            "accuracy": self.accuracy,
            "error": error_of_share(self.accuracy, self.count),
            "confidence_interval": [low, high],
        }
        return {"tasks": tasks, "result": result}

    def _choice(self, log_probs: list[float]) -> int:
        """The likeliest candidate; of equally likely ones the first."""
        return log_probs.index(max(log_probs))

    @abstractmethod
    def _line(self) -> str:
        """What is said about the last task."""


class HellaswagView(TaskView):
    """The share of right endings and its 95 % confidence interval."""

    head = "\ntask\tacc_norm\t95% confidence interval\n"

    def _line(self) -> str:
        low, high = wilson_interval(self._right, self.count)
        interval = f"[{PERCENT * low:3.4f}%, {PERCENT * high:3.4f}%]"
        return f"{self.count}\t{PERCENT * self.accuracy:3.8f}%\t{interval}\n"

    def foot(self) -> str:
        """Nothing more."""
        return "\n"


class WinograndeView(TaskView):
    """The share, the means of both choices, the model's choice and the right one."""

    def _choice(self, log_probs: list[float]) -> int:
        """The second of two equally likely ones, as llama-perplexity has it."""
        return 0 if log_probs[0] > log_probs[1] else 1

    def _line(self) -> str:
        first, second = self._log_probs[-1]
        (right,) = self._tasks[self.count - 1].right
        share = f"{self.count}\t{PERCENT * self.accuracy:.4f}"
        return f"{share}\t{first:10.6f}  {second:10.6f}  {self._chosen[-1] + 1}  {right + 1}\n"

    def foot(self) -> str:
        """The final score, of enough tasks."""
        if self.count < FEWEST_TASKS:
            return "\n"
        error = PERCENT * error_of_share(self.accuracy, self.count)
        score = f"{PERCENT * self.accuracy:.4f} +/- {error:.4f}"
        return f"\nFinal Winogrande score({self.count} tasks): {score}\n"


class MultipleChoiceView(TaskView):
    """The share of right answers."""

    head = "\ntask\tacc_norm\n"

    def _line(self) -> str:
        return f"{self.count}\t{PERCENT * self.accuracy:.8f}\n"

    def foot(self) -> str:
        """The result, and what guessing would give."""
        guessed = self.count / sum(map(len, self._log_probs))
        rows = (("Final result", self.accuracy), ("Random chance", guessed))
        lines = [
            f"{name}: {PERCENT * share:.4f} +/- {PERCENT * error_of_share(share, self.count):.4f}\n"
            for name, share in rows
        ]
        return "\n" + "".join(lines)


def error_of_share(share: float, count: int) -> float:
    """Standard error of a share of ``count`` tasks; 0 for a single one."""
    return math.sqrt(share * (1 - share) / (count - 1)) if count > 1 else 0.0
