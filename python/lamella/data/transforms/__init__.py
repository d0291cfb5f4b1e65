# SPDX-License-Identifier: MIT
"""Augmentation and conversion of images, sound and text, under the names of torchvision.transforms.v2 and torchaudio."""

from .affine import RandomAffine, RandomRotation
from .base import Compose, EachImage, InterpolationMode, Lambda, RandomApply, RandomChoice, RandomOrder, Transform
from .colour import (
    ColorJitter,
    ConvertImageDtype,
    Grayscale,
    Normalize,
    PILToTensor,
    RandomErasing,
    RandomGrayscale,
    ToDtype,
    ToImage,
    ToPILImage,
    ToTensor,
)
from .geometry import (
    CenterCrop,
    Pad,
    RandomCrop,
    RandomHorizontalFlip,
    RandomResizedCrop,
    RandomVerticalFlip,
    Resize,
)
from .mix import CutMix, MixUp
from .sound import (
    AddNoise,
    FrequencyMasking,
    PitchShift,
    Resample,
    SpecAugment,
    TimeMasking,
    TimeStretch,
    WarpSpectrogram,
    add_noise,
    resample,
)
from .spectrum import (
    MFCC,
    AmplitudeToDB,
    LogMelSpectrogram,
    MelScale,
    MelSpectrogram,
    Spectrogram,
    create_dct,
    melscale_fbanks,
)
from .words import Chain, MaskTokens, Paraphrase, RandomDeletion, RandomSwap, SpanCorruption, SynonymReplacement
