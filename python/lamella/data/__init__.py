# SPDX-License-Identifier: MIT
"""Data sets, samplers, the loader, and readers of files."""

from .dataset import ConcatDataset, Dataset, IterableDataset, Subset, TensorDataset, random_split
from .digits import digits, read_digits
from .idx import mnist, read_idx, read_idx_pair
from .image_folder import ImageFolder, read_image
from .loader import DataLoader, default_collate, sample_generator
from .sampler import BatchSampler, RandomSampler, Sampler, SequentialSampler, WeightedRandomSampler

__all__ = [
    "BatchSampler",
    "ConcatDataset",
    "DataLoader",
    "Dataset",
    "ImageFolder",
    "IterableDataset",
    "RandomSampler",
    "Sampler",
    "SequentialSampler",
    "Subset",
    "TensorDataset",
    "WeightedRandomSampler",
    "default_collate",
    "digits",
    "mnist",
    "random_split",
    "read_digits",
    "read_idx",
    "read_idx_pair",
    "read_image",
    "sample_generator",
]
