"""What devices can do at most, in floating-point operations a second: what a model's use of them is measured against.

From NVIDIA's data sheets, without sparsity. bfloat16: on the tensor cores. float32: without them, as torch has it by default
(torch.backends.cuda.matmul.fp32_precision). A device that is not listed has no known peak; processors have none here, as theirs
depends on clocks and on who else is there.
"""

import torch

from raylab.recipe import ModelSpec

_T = 1e12
PEAKS = {  # by the beginning of the device's name, the longest that fits: bfloat16, float32
    "NVIDIA A100": (312 * _T, 19.5 * _T),
    "NVIDIA H100 80GB HBM3": (989.4 * _T, 66.9 * _T),
    "NVIDIA H100 PCIe": (756 * _T, 51 * _T),
    "NVIDIA H100 NVL": (835 * _T, 60 * _T),
    "NVIDIA H200": (989.4 * _T, 66.9 * _T),
    "NVIDIA L4": (121 * _T, 30.3 * _T),
    "NVIDIA L40S": (362 * _T, 91.6 * _T),
}


def peak_flops(device: torch.device, spec: ModelSpec) -> float | None:
    """Operations a second that a device does at most in a model's precision; None where that is not known."""
    return peak_of(torch.cuda.get_device_name(device), spec.precision) if device.type == "cuda" else None


def peak_of(name: str, precision: str) -> float | None:
    """The same of a device by its name."""
    known = max(
        (start for start in PEAKS if f"{name} ".startswith(f"{start} ") or name.startswith(f"{start}-")), key=len, default=None
    )
    return PEAKS[known][precision != "bfloat16"] if known else None
