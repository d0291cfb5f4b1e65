# SPDX-License-Identifier: MIT
"""Data sets, samplers, the loader, readers of files, tokenizers; `lamella.data.transforms` augments."""

from .collate import PackCollate, PadCollate, default_collate, default_convert
from .dataset import (
    ChainDataset,
    ConcatDataset,
    Dataset,
    IterableDataset,
    MapDataset,
    StackDataset,
    Subset,
    TensorDataset,
    in_memory,
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
from .load_images import ImageData, load_images, read_like
from .scenes import CaptionedDigits, Scenes
from .spoken_digits import DigitStrings, SpokenDigits
from .table import TableDataset, read_table
from .text_files import LabelledText, NextSentence, TextLines, TextPairs, lines_of, read_lines, read_text
from .wav import AudioFolder, read_audio, read_wav, write_wav
from .sequences import TokenBlocks, encode_all, pack_tokens, pad_tokens, truncate
from .text_loaders import bucket_loader, pair_loader, parallel_text, text_blocks
from .tokenizers import ByteTokenizer, CharTokenizer, LibraryTokenizer, Vocabulary, WordTokenizer, tokenizer_from_dict

__all__ = [
    "AudioFolder",
    "BatchSampler",
    "BucketBatchSampler",
    "ByteTokenizer",
    "CaptionedDigits",
    "ChainDataset",
    "CharTokenizer",
    "ConcatDataset",
    "DataLoader",
    "Dataset",
    "DigitStrings",
    "DistributedSampler",
    "ImageData",
    "ImageFolder",
    "IterableDataset",
    "LabelledText",
    "LibraryTokenizer",
    "MapDataset",
    "NextSentence",
    "PackCollate",
    "PadCollate",
    "RandomSampler",
    "Sampler",
    "Scenes",
    "SequentialSampler",
    "SpokenDigits",
    "StackDataset",
    "Subset",
    "SubsetRandomSampler",
    "TableDataset",
    "TensorDataset",
    "TextLines",
    "TextPairs",
    "TokenBlocks",
    "Vocabulary",
    "WeightedRandomSampler",
    "WordTokenizer",
    "bucket_loader",
    "cifar",
    "default_collate",
    "default_convert",
    "digits",
    "encode_all",
    "get_worker_info",
    "load_images",
    "lines_of",
    "in_memory",
    "mnist",
    "pack_tokens",
    "pad_tokens",
    "pair_loader",
    "parallel_text",
    "random_split",
    "read_audio",
    "read_cifar",
    "read_digits",
    "read_idx",
    "read_idx_pair",
    "read_image",
    "read_like",
    "read_lines",
    "read_table",
    "read_text",
    "read_wav",
    "sample_generator",
    "text_blocks",
    "tokenizer_from_dict",
    "transforms",
    "truncate",
    "write_wav",
]


def __getattr__(name):
    if name == "transforms":
        import importlib

        return importlib.import_module(".transforms", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
