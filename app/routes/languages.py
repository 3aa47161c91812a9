"""GET /languages and GET /frontend/settings, in LibreTranslate's shapes; GET /models."""

from __future__ import annotations

from fastapi import APIRouter

from app.languages import Language
from app.models import ModelSet
from app.schemas import (
    DefaultLanguage,
    DefaultLanguages,
    FrontendSettings,
    LanguageAnswer,
    ModelAnswer,
    ModelsAnswer,
)
from app.service import ServiceDep
from nmt.inference import SUFFIXES

router = APIRouter(tags=["about"])


@router.get("/languages", summary="Languages served, and what each translates into")
async def languages(service: ServiceDep) -> list[LanguageAnswer]:
    return [
        LanguageAnswer(code=language.code, name=language.name, targets=list(language.targets))
        for language in service.languages.listed
    ]


@router.get("/models", summary="Models that serve now")
async def models(service: ServiceDep) -> ModelsAnswer:
    return list_models(service.models.current)


def list_models(models: ModelSet) -> ModelsAnswer:
    """What is told of each model of a set."""
    return ModelsAnswer(
        models=[
            ModelAnswer(
                name=model.name,
                source=model.source_lang,
                target=model.target_lang,
                version=model.version,
                precision=model.precision,
                runner=model.runner,
                parameters=model.parameters,
                description=model.description,
            )
            for model in models.engine.models
        ]
    )


@router.get("/frontend/settings", summary="Settings for a user interface")
async def frontend_settings(service: ServiceDep) -> FrontendSettings:
    source, target = service.languages.default_pair
    return FrontendSettings(
        apiKeys=service.gate.knows_keys,
        charLimit=service.settings.max_text_chars,
        filesTranslation=bool(service.settings.max_file_bytes),
        keyRequired=service.gate.requires_key,
        language=DefaultLanguages(source=_default(source), target=_default(target)),
        maxNBest=service.settings.max_n_best,
        supportedFilesFormat=list(SUFFIXES) if service.settings.max_file_bytes else [],
    )


def _default(language: Language) -> DefaultLanguage:
    return DefaultLanguage(code=language.code, name=language.name)
