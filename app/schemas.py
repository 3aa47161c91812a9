"""The shapes of requests and answers, as the API's documentation states them; a test holds the routes to them.

Requests are read by `app.parameters` (LibreTranslate's wording and forms are beyond pydantic's own reading).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from app.errors import MEANINGS

T = TypeVar("T")
OneOrList: TypeAlias = T | list[T]
"""One value for a string `q`; for a list `q` a list of values in the same order."""

Link = Annotated[tuple[int, int], Field(examples=[(0, 0)])]
Look = Annotated[tuple[int, float], Field(examples=[(0, 0.9)])]
Score = Annotated[float | None, Field(description="Length-normalised log-probability; higher is better.")]


class Shape(BaseModel):
    """A JSON object with these keys and no others."""

    model_config = ConfigDict(extra="forbid")


class TranslateRequest(BaseModel):
    """What to translate. Fields not listed are ignored."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"q": "Good morning!", "source": "en", "target": "de"},
                {"q": ["Good morning!", ""], "source": "en", "target": "de", "alternatives": 1, "scores": True},
            ]
        },
    )

    q: Annotated[
        str | list[str],
        Field(description="A text, or a list of texts (JSON only). Line breaks and blanks are kept.", min_length=1),
    ]
    source: Annotated[
        str, Field(description="Language code, upper or lower case; `auto`: detected for each text.", examples=["en"])
    ]
    target: Annotated[str, Field(description="Language code, upper or lower case.", examples=["de"])]
    format: Annotated[Literal["text", "html"] | None, Field(description="The kind of text.")] = "text"
    translate_attributes: Annotated[
        bool, Field(description="With `html`: `alt`, `title`, `placeholder` and `aria-label`, too.")
    ] = False
    alternatives: Annotated[int, Field(ge=0, description="Other translations wanted beside the best.")] = 0
    api_key: Annotated[
        str, Field(description="A key of this service; the header `Authorization: Bearer` does as well.")
    ] = ""
    beam_size: Annotated[int | None, Field(ge=1, description="Width of the search; the model's own if absent.")] = None
    n_best: Annotated[int | None, Field(ge=1, description="Adds `nBest`: so many translations with scores.")] = None
    scores: Annotated[bool, Field(description="Adds `scores`.")] = False
    alignments: Annotated[bool, Field(description="Adds `alignments` (and to each entry of `nBest`).")] = False
    attention: Annotated[bool, Field(description="Adds `attention` (and to each entry of `nBest`).")] = False
    flags: Annotated[bool, Field(description="Adds `flags`.")] = False
    raw: Annotated[bool, Field(description="Take each text as one segment: no sentence splitting, no repair.")] = False
    terms: Annotated[
        dict[str, str] | list[tuple[str, str]] | None,
        Field(description="Source terms, and what they must become.", examples=[{"station": "Bahnhof"}]),
    ] = None
    timeout_s: Annotated[
        float | None,
        Field(gt=0, description="Longest time to the answer, at least 0.5 s; the service's own limit holds, too."),
    ] = None


class DetectRequest(BaseModel):
    """The text whose language is wanted."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"q": "Guten Morgen!"}]})

    q: Annotated[str | list[str], Field(description="A text; a list is taken as one text.", min_length=1)]
    api_key: Annotated[str, Field(description="A key of this service, if it has any.")] = ""


class DetectedLanguage(Shape):
    """A guess at the language of a text."""

    confidence: Annotated[float, Field(ge=0, le=100, description="0: nothing can be said, this is a default.")]
    language: Annotated[str, Field(description="Its code.")]


class NBestEntry(Shape):
    """One of several translations of a text."""

    text: str
    score: Score
    alignment: Annotated[list[Link] | None, Field(description="Present if `alignments` was asked for.")] = None
    attention: Annotated[list[list[Look]] | None, Field(description="Present if `attention` was asked for.")] = None


class ItemError(Shape):
    """Why one text of a list is not translated."""

    index: Annotated[int, Field(ge=0, description="Place in `q`, counted from 0.")]
    error: str


class TranslateAnswer(Shape):
    """Each key but `errors` holds one value for a string `q`, and for a list `q` a list of them in the same order.

    Keys other than `translatedText` are present only when asked for; `detectedLanguage` where the source was `auto`,
    `pivot` where a text went through a third language.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"translatedText": "Guten Morgen!"},
                {
                    "translatedText": ["Guten Morgen!", ""],
                    "alternatives": [["Guten Tag!"], []],
                    "scores": [-0.21, None],
                },
                {
                    "translatedText": ["Guten Morgen!", "(a text over the limit)"],
                    "errors": [{"index": 1, "error": "Invalid request: request (20000) exceeds text limit (10000)"}],
                },
            ]
        }
    )

    translatedText: OneOrList[str]
    detectedLanguage: Annotated[
        OneOrList[DetectedLanguage] | None,
        Field(description="The language of the text; confidence 0 for a mere default."),
    ] = None
    pivot: Annotated[
        OneOrList[str | None], Field(description="Code of the language in between, where no model translates directly.")
    ] = None
    alternatives: Annotated[OneOrList[list[str]], Field(description="Other translations, best first.")] = []
    nBest: Annotated[OneOrList[list[NBestEntry]], Field(description="The best translations, best first.")] = []
    scores: Annotated[
        OneOrList[Score], Field(description="Score of `translatedText`; null where nothing was translated.")
    ] = None
    alignments: Annotated[
        OneOrList[list[Link]],
        Field(
            description="Links [i, j]: word i of the text and word j of its translation, split at white space, from 0."
        ),
    ] = []
    attention: Annotated[
        OneOrList[list[list[Look]]],
        Field(
            description="For each word of the translation the words of the text that the model looked at: [i, weight], "
            "the largest first; weights under 0.01 are left out."
        ),
    ] = []
    flags: Annotated[OneOrList[list[str]], Field(description="What a reader should know, such as `truncated`.")] = []
    errors: Annotated[
        list[ItemError],
        Field(description="Only for a list `q` of which some texts failed: these come back untranslated."),
    ] = []


class LanguageAnswer(Shape):
    """A language and what it can be translated into (itself included: such a text comes back unchanged)."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"code": "en", "name": "English", "targets": ["de", "en"]}]},
    )

    code: str
    name: str
    targets: list[str]


class ModelAnswer(Shape):
    """A model that serves."""

    name: str
    source: str
    target: str
    version: Annotated[str, Field(description="What `X-Model-Version` names it.")]
    precision: str
    runner: Annotated[str, Field(description="What computes: `native` or `torch`.")]
    parameters: int
    description: str


class ModelsAnswer(Shape):
    """The models that serve now."""

    models: list[ModelAnswer]


class FileRequest(BaseModel):
    """A form with a file. Fields not listed are ignored."""

    file: Annotated[
        str, Field(description="The file; its name says its format.", json_schema_extra={"format": "binary"})
    ]
    source: Annotated[str, Field(description="Language code, or `auto`.", examples=["en"])]
    target: Annotated[str, Field(description="Language code.", examples=["de"])]
    api_key: Annotated[str, Field(description="The caller's key, where keys are known.")] = ""
    report: Annotated[bool, Field(description="Adds `report`.")] = False


class FileFailure(Shape):
    """A text of a file that stayed as it was."""

    place: str
    error: str


class FileReport(Shape):
    """What became of a file's texts."""

    source: Annotated[str, Field(description="The language it was translated from.")]
    texts: int
    translated: int
    flags: Annotated[dict[str, int], Field(description="Of how many texts each flag is true.")]
    failures: Annotated[list[FileFailure], Field(description="The first of those that stayed as they were.")]


class FileAnswerShape(Shape):
    """Where a translated file lies."""

    translatedFileUrl: str
    report: Annotated[FileReport | None, Field(description="Present if asked for.")] = None


class HealthAnswer(Shape):
    """Whether requests are welcome."""

    status: Literal["ok", "not ready"]
    reasons: Annotated[list[str], Field(description="Present if not ready.")] = []


class ErrorAnswer(Shape):
    """Every answer that is not a success."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"error": "xx is not supported"}]})

    error: str


class DefaultLanguage(Shape):
    """A language that a user interface starts with."""

    code: str
    name: str


class DefaultLanguages(Shape):
    """The pair that a user interface starts with."""

    source: DefaultLanguage
    target: DefaultLanguage


class FrontendSettings(Shape):
    """What a user interface should offer, in LibreTranslate's words."""

    apiKeys: bool = False
    charLimit: Annotated[int, Field(description="Longest text, in characters.")]
    filesTranslation: bool = False
    frontendTimeout: Annotated[int, Field(description="Pause after typing before a request, in milliseconds.")] = 500
    keyRequired: bool = False
    language: DefaultLanguages
    maxNBest: Annotated[int, Field(description="Largest `n_best`; not one of LibreTranslate's words.")]
    suggestions: bool = False
    supportedFilesFormat: list[str] = []


def error_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI entries of these statuses."""
    return {status: {"model": ErrorAnswer, "description": MEANINGS[status]} for status in statuses}
