"""The GPUs that Ray knows by name, and how much memory each has."""

from __future__ import annotations

from collections.abc import Mapping

GPU_MEMORY: Mapping[str, float | None] = {
    "V100": 16,
    "P100": 16,
    "T4": 16,
    "P4": 8,
    "K80": 12,
    "A10G": 24,
    "L4": 24,
    "L40S": 48,
    "A100": 40,
    "A100-40G": 40,
    "A100-80G": 80,
    "H100": 80,
    "H200": 141,
    "H20": 96,
    "B200": 180,
    "B300": 270,
    "GB200": 186,
    "GB300": 278,
    "RTX-PRO-6000": 96,
    "Intel-GPU-Max-1550": 128,
    "Intel-GPU-Max-1100": 48,
    "AMD-Instinct-MI100": 32,
    "AMD-Instinct-MI250X": 128,
    "AMD-Instinct-MI250X-MI250": 128,
    "AMD-Instinct-MI210": 64,
    "AMD-Instinct-MI300A": 128,
    "AMD-Instinct-MI300X-OAM": 192,
    "AMD-Instinct-MI300X-HF": 192,
    "AMD-Instinct-MI308X": 192,
    "AMD-Instinct-MI325X-OAM": 256,
    "AMD-Instinct-MI350X-OAM": 288,
    "AMD-Instinct-MI355X-OAM": 288,
    "AMD-Radeon-R9-200-HD-7900": None,
    "AMD-Radeon-HD-7900": None,
}
"""The least memory that a GPU of that name has, in GB; ``None`` where they differ too much.

A name is what the resource ``accelerator_type:NAME`` of a Ray node calls it.
"""
