"""No HTML is translated in this comparison."""

# ruff: noqa: ARG001 -- the parameters are those of what this stands for


def translate_html(translation: object, html: str) -> str:
    return html
