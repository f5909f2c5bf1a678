"""``crossover doctor``: what is installed, what will be used, what to install."""

from __future__ import annotations

import os
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from crossover.cli.flags import COMMON, Common
from crossover.cli.output import print_columns, print_document, print_text

_CORE = ("torch", "numpy", "tokenizers", "safetensors", "scikit-learn", "statsmodels", "polars", "plotly", "rich")
_EXTRAS = ("datasets", "soundfile", "kaldi-native-fbank", "av", "onnx", "onnxscript", "onnxruntime")


def doctor(*, device: str = "auto", common: Common = COMMON) -> int:
    """Say what is installed, which numerics and devices will be used, and what to install.

    Parameters
    ----------
    device
        The device to look at: auto, cpu, cuda or mps.
    """
    from crossover.api import RUNS
    from crossover.data.catalogue import CATALOGUE, locate
    from crossover.errors import DataError
    from crossover.measure.numerics import available_devices, cache_folder, check_device, choose, processor

    numerics = choose("auto", check_device(device))
    found = []
    for name in CATALOGUE:
        try:
            locate(name)
            found.append(name)
        except DataError:
            continue
    document: dict[str, Any] = {
        "processor": processor(),
        "devices": available_devices(),
        "numerics": numerics.to_json(),
        "packages": {name: _version(name) for name in (*_CORE, *_EXTRAS)},
        "data": {"folder": os.environ.get("CROSSOVER_DATA"), "found": found, "known": list(CATALOGUE)},
        "cache": str(cache_folder()),
        "runs": str(RUNS),
        "missing": [f"pip install {name}" for name in _EXTRAS if _version(name) is None],
    }
    if common.json:
        print_document(document)
        return 0
    print_text(f"{document['processor']}; devices: {', '.join(document['devices'])}")
    print_text(numerics.describe())
    print_columns((name, installed or "not installed") for name, installed in document["packages"].items())
    print_text(f"data sets found: {', '.join(found) or 'none'} (crossover data list shows all)")
    for command in document["missing"]:
        print_text(f"optional: {command}")
    return 0


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
