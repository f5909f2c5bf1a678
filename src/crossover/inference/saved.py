"""A trained model on disk: weights in ``model.safetensors``, all else that prediction needs in ``artifacts.json``.

Neither file can carry code, so a model from anywhere can be read.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from crossover.config import build
from crossover.errors import CheckpointError, ConfigError, CrossoverError
from crossover.files import write_file, write_json
from crossover.models.model import SequenceModel
from crossover.models.ports import Inputs, Outputs, port_from_json, port_to_json
from crossover.models.settings import ModelSettings
from crossover.tasks.base import TaskSpec

WEIGHTS_FILE = "model.safetensors"
ARTIFACTS_FILE = "artifacts.json"
VERSION = 1


@dataclass(frozen=True, kw_only=True)
class SavedModel:
    """What a model is and what its task needs to read its inputs and outputs, without the data."""

    task: str
    task_family: str
    objective: str
    metric: str
    settings: ModelSettings
    inputs: Inputs
    outputs: Outputs
    causal: bool
    artifacts: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, spec: TaskSpec, settings: ModelSettings, artifacts: Mapping[str, Any]) -> SavedModel:
        """The description of a model of `settings` trained on the task with this `spec`."""
        return cls(
            task=spec.name,
            task_family=spec.family,
            objective=spec.objective,
            metric=spec.metric,
            settings=settings,
            inputs=spec.inputs,
            outputs=spec.outputs,
            causal=spec.causal if settings.causal is None else settings.causal,
            artifacts=artifacts,
        )

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "version": VERSION,
            "task": self.task,
            "task_family": self.task_family,
            "objective": self.objective,
            "metric": self.metric,
            "model": asdict(self.settings),
            "inputs": port_to_json(self.inputs),
            "outputs": port_to_json(self.outputs),
            "causal": self.causal,
            "artifacts": dict(self.artifacts),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> SavedModel:
        """What `to_json` gave; KeyError, TypeError or ConfigError for anything else."""
        return cls(
            task=value["task"],
            task_family=value["task_family"],
            objective=value["objective"],
            metric=value["metric"],
            settings=build(ModelSettings, value["model"], path="model"),
            inputs=port_from_json(value["inputs"]),
            outputs=port_from_json(value["outputs"]),
            causal=bool(value["causal"]),
            artifacts=value["artifacts"],
        )


def save_model(folder: Path, weights: Mapping[str, Tensor], saved: SavedModel) -> None:
    """Write both files of a model, each aside and renamed; CheckpointError when the disk takes no more."""
    from safetensors.torch import save

    # Tied weights share memory, which safetensors refuses: each name gets its own copy.
    tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in weights.items()}
    write_file(folder / WEIGHTS_FILE, save(tensors, metadata={"format": "pt"}))
    write_json(folder / ARTIFACTS_FILE, saved.to_json())


def load_model(folder: Path, *, device: str | torch.device = "cpu") -> tuple[SequenceModel, SavedModel]:
    """The model in `folder`, in evaluation mode on `device`, and its description.

    Raises CheckpointError when a file is missing, damaged, or holds other weights than the description says.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        described = json.loads((folder / ARTIFACTS_FILE).read_text(encoding="utf-8"))
        weights = load((folder / WEIGHTS_FILE).read_bytes())
        saved = SavedModel.from_json(described)
        model = SequenceModel(saved.settings, saved.inputs, saved.outputs, causal=saved.causal)
        model.load_state_dict(weights)
    except FileNotFoundError as error:
        missing = Path(str(error.filename)).name
        raise CheckpointError(
            f"{folder} holds no trained model ({missing} is missing): give the folder of a finished run or study"
        ) from None
    except SafetensorError as error:
        raise CheckpointError(f"{folder / WEIGHTS_FILE} is damaged ({error}): train the model anew") from error
    except ConfigError as error:
        raise CheckpointError(
            f"the model in {folder} cannot be built ({error}): load the --plugin that defines its parts, "
            "or train it anew"
        ) from error
    except (CrossoverError, OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CheckpointError(f"the model in {folder} cannot be read ({reason}): train it anew") from error
    return model.to(device).eval(), saved
