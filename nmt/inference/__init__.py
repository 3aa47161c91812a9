"""Translating with trained bundles: the face that the service, the commands and library users see.

Importing it loads no torch: tensors live in the workers, and in a `Translator` once it is loaded.
"""

from nmt.inference.detection import Detection, Detector
from nmt.inference.document_process import DocumentProcess
from nmt.inference.documents import (
    FORMATS,
    SUFFIXES,
    DocumentReport,
    DocumentTranslation,
    Format,
    Limits,
    Portion,
    format_of,
    translate_document,
)
from nmt.inference.pivoting import first_leg, second_leg, through
from nmt.inference.pool import Pool, PoolStatus
from nmt.inference.translator import Translator
from nmt.inference.types import (
    Diversity,
    Ensemble,
    Fusion,
    Hypothesis,
    ModelInfo,
    Sampling,
    TranslateOptions,
    Translation,
)

load_models = Pool.load_models

__all__ = [
    "FORMATS",
    "SUFFIXES",
    "Detection",
    "Detector",
    "Diversity",
    "DocumentProcess",
    "DocumentReport",
    "DocumentTranslation",
    "Ensemble",
    "Format",
    "Fusion",
    "Hypothesis",
    "Limits",
    "ModelInfo",
    "Pool",
    "PoolStatus",
    "Portion",
    "Sampling",
    "TranslateOptions",
    "Translation",
    "Translator",
    "first_leg",
    "format_of",
    "load_models",
    "second_leg",
    "through",
    "translate_document",
]
