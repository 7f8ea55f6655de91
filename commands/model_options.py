"""Which model: a file, a repository of a hub, or a URL; and what of its metadata is changed."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pyllama.commands import options, output
from pyllama.commands.loading import model_path
from pyllama.commands.lora_options import LoraFiles, ScaledLoraFiles, loras
from pyllama.commands.overrides import (
    Value,
    idle_yarn_options,
    key_values,
    rope_overrides,
)
from pyllama.commands.words import together
from pyllama.errors import UsageError

if TYPE_CHECKING:
    from pyllama.model import Model

log = logging.getLogger(__name__)


def _hub(*names: str, metavar: str, env: str, help: str) -> object:
    return typer.Option(*names, metavar=metavar, envvar=env, help=help, show_default=False)


@dataclass(frozen=True)
class ModelOptions:
    """Where the model comes from."""

    model: options.Model = None
    hf_repo: Annotated[
        str | None,
        _hub(
            *("-hf", "-hfr", "--hf-repo"),
            metavar="USER/MODEL[:QUANT]",
            env="LLAMA_ARG_HF_REPO",
            help="Model of a Hugging Face repository; by default Q4_K_M, else Q8_0.",
        ),
    ] = None
    hf_file: Annotated[
        str | None,
        _hub(
            *("-hff", "--hf-file"),
            metavar="FILE",
            env="LLAMA_ARG_HF_FILE",
            help="The file of the repository to take.",
        ),
    ] = None
    hf_token: options.HubToken = None
    model_url: Annotated[
        str | None,
        _hub(
            *("-mu", "--model-url"),
            metavar="URL",
            env="LLAMA_ARG_MODEL_URL",
            help="URL of the model.",
        ),
    ] = None
    offline: options.Offline = False
    cache_list: Annotated[
        bool, typer.Option("-cl", "--cache-list", help="List the downloaded models and exit.")
    ] = False

    @property
    def is_builtin(self) -> bool:
        """Whether no model is named, so that the one of the package is taken."""
        return self.model is None and self.hf_repo is None and self.model_url is None

    def find(self) -> Path:
        """The model's file, downloaded where that is needed.

        Raises UsageError for options that contradict, and what the hub raises.
        """
        named = {"-m": self.model, "-hf": self.hf_repo, "-mu": self.model_url}
        given = [name for name, value in named.items() if value is not None]
        if len(given) > 1:
            raise UsageError(
                f"{together(given)} name the model; leave one of them, and look at the "
                "environment's LLAMA_ARG_*"
            )
        if self.hf_file is not None and self.hf_repo is None:
            raise UsageError("-hff names a file of a repository, but -hf gives none; add -hf")
        if self.hf_repo is None and self.model_url is None:
            return model_path(self.model)
        from pyllama import hub

        with output.download_progress() as progress:
            if self.model_url is not None:
                return hub.download(
                    self.model_url, token=self.hf_token, offline=self.offline, progress=progress
                )
            assert self.hf_repo is not None
            return hub.resolve(
                self.hf_repo,
                file=self.hf_file,
                token=self.hf_token,
                offline=self.offline,
                progress=progress,
            )

    def list_cached(self) -> None:
        """Write the models that are in the cache, one a line, with their sizes."""
        from pyllama import hub
        from pyllama.commands.report import size_text, table

        models = hub.cached_models()
        rows = [(model.reference, size_text(model.size), str(model.path)) for model in models]
        output.write(table(("model", "size", "file"), rows, right=("size",)))


@dataclass(frozen=True)
class OverrideOptions:
    """What takes the place of the file's metadata, and what is added to its weights.

    None, and -1 for YaRN: what the file says.
    """

    override_kv: Annotated[
        list[str] | None,
        typer.Option(
            "--override-kv",
            metavar="KEY=TYPE:VALUE",
            help="Metadata to change, by commas (an item with a comma in quotes); TYPE is int, "
            "float, bool or str. Repeatable.",
            show_default=False,
        ),
    ] = None
    rope_scaling: Annotated[
        str | None,
        typer.Option(
            "--rope-scaling",
            metavar="none|linear|yarn",
            envvar="LLAMA_ARG_ROPE_SCALING_TYPE",
            help="How positions are scaled.",
            show_default="the model's",
        ),
    ] = None
    rope_scale: Annotated[
        float | None,
        typer.Option(
            "--rope-scale",
            metavar="N",
            envvar="LLAMA_ARG_ROPE_SCALE",
            help="Factor by which the context grows.",
            show_default="the model's",
        ),
    ] = None
    rope_freq_base: Annotated[
        float | None,
        typer.Option(
            "--rope-freq-base",
            metavar="N",
            envvar="LLAMA_ARG_ROPE_FREQ_BASE",
            help="Base of the rotary frequencies.",
            show_default="the model's",
        ),
    ] = None
    rope_freq_scale: Annotated[
        float | None,
        typer.Option(
            "--rope-freq-scale",
            metavar="N",
            envvar="LLAMA_ARG_ROPE_FREQ_SCALE",
            help="The same as a factor of 1/N.",
            show_default="the model's",
        ),
    ] = None
    yarn_orig_ctx: Annotated[
        int,
        typer.Option(
            "--yarn-orig-ctx",
            metavar="N",
            min=0,
            envvar="LLAMA_ARG_YARN_ORIG_CTX",
            help="YaRN: tokens of context before scaling; 0 for the model's.",
        ),
    ] = 0
    yarn_ext_factor: Annotated[
        float,
        typer.Option(
            "--yarn-ext-factor",
            metavar="N",
            envvar="LLAMA_ARG_YARN_EXT_FACTOR",
            help="YaRN: mix of extrapolation; 0 is interpolation alone, -1 the model's.",
        ),
    ] = -1.0
    yarn_attn_factor: Annotated[
        float,
        typer.Option(
            "--yarn-attn-factor",
            metavar="N",
            envvar="LLAMA_ARG_YARN_ATTN_FACTOR",
            help="YaRN: factor of attention's magnitude; -1 for the model's.",
        ),
    ] = -1.0
    yarn_beta_slow: Annotated[
        float,
        typer.Option(
            "--yarn-beta-slow",
            metavar="N",
            envvar="LLAMA_ARG_YARN_BETA_SLOW",
            help="YaRN: rotations at which interpolation is complete; -1 for the model's.",
        ),
    ] = -1.0
    yarn_beta_fast: Annotated[
        float,
        typer.Option(
            "--yarn-beta-fast",
            metavar="N",
            envvar="LLAMA_ARG_YARN_BETA_FAST",
            help="YaRN: rotations from which nothing is interpolated; -1 for the model's.",
        ),
    ] = -1.0

    lora: LoraFiles = None
    lora_scaled: ScaledLoraFiles = None
    check_tensors: Annotated[
        bool,
        typer.Option("--check-tensors", help="Look for weights that are no finite numbers first."),
    ] = False

    def load(self, path: Path, isa: str | None) -> Model:
        """The model of a file, changed, with its adapters, and checked where that is asked for.

        Raises UsageError for values of no sense, and what Model.load and check_tensors raise.
        """
        changes: Mapping[str, Value] = {
            **key_values(self.override_kv or ()),
            **rope_overrides(self),
        }
        log.info("loading %s", path)
        for key, value in changes.items():
            log.info("override: %s = %r", key, value)
        from pyllama.model import Model

        adapters = loras(self.lora, self.lora_scaled)
        model = Model.load(path, isa=isa, overrides=changes, loras=adapters)
        if idle := idle_yarn_options(self, model.metadata):
            log.warning("%s: no effect without --rope-scaling yarn", ", ".join(idle))
        if self.check_tensors:
            from pyllama.tensor_check import check_tensors

            check_tensors(model)
        return model
