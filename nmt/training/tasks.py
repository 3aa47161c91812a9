"""The kinds of models that can be trained, by the name that a recipe gives them."""

from __future__ import annotations

from nmt.training.task import Task
from nmt.training.translation import Translation

TASKS: dict[str, type[Task]] = {"translation": Translation}
