# SPDX-License-Identifier: MIT
"""Data sets, samplers, the loader, readers of files, tokenizers; `lamella.data.transforms` augments."""

from .collate import PackCollate, PadCollate, default_collate, default_convert
from .dataset import (
    ChainDataset,
    ConcatDataset,
    Dataset,
    IterableDataset,
    StackDataset,
    Subset,
    TensorDataset,
    random_split,
)
from .digits import digits, read_digits
from .idx import mnist, read_idx, read_idx_pair
from .image_folder import ImageFolder, read_image
from .loader import DataLoader
from .sample import get_worker_info, sample_generator
from .sampler import (
    BatchSampler,
    RandomSampler,
    Sampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)
from .sampler_groups import BucketBatchSampler, DistributedSampler
from .cifar import cifar, read_cifar
from .table import TableDataset, read_table
from .text_files import LabelledText, TextLines, TextPairs, read_lines
from .wav import AudioFolder, read_audio, read_wav, write_wav
