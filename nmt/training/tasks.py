"""The kinds of models that can be trained, by the name that a recipe gives them."""

from __future__ import annotations

from nmt.config import TaskName
from nmt.training.labelling import Classification, Tagging
from nmt.training.language_modelling import LanguageModelling
from nmt.training.task import Task
from nmt.training.translation import Translation

TASKS: dict[TaskName, type[Task]] = {
    "translation": Translation,
    "language-model": LanguageModelling,
    "tagging": Tagging,
    "classification": Classification,
}
