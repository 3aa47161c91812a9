"""`nmt sample`: text drawn from a language model."""

from __future__ import annotations

from typing import Annotated

import typer

from nmt.cli.models import DeviceOption, ModelArgument, bundle_folder, one_thread_a_process
from nmt.cli.options import LAST_SEED, finite


def sample(
    model: ModelArgument,
    prompt: Annotated[str, typer.Option("--prompt", help="How the text begins.")] = "",
    count: Annotated[int, typer.Option("-n", "--count", min=1, max=10_000, help="How many texts.")] = 1,
    temperature: Annotated[
        float,
        typer.Option(
            "--temperature", min=0.01, callback=finite, help="Below 1 bolder choices become rarer, above 1 commoner."
        ),
    ] = 1.0,
    top_k: Annotated[int, typer.Option("--top-k", min=0, help="Draw from so many likeliest tokens; 0: all.")] = 0,
    top_p: Annotated[
        float, typer.Option("--top-p", min=0.0, max=1.0, help="Draw from the likeliest tokens with this share of all.")
    ] = 1.0,
    seed: Annotated[int, typer.Option("--seed", min=0, max=LAST_SEED, help="Which texts are drawn.")] = 1,
    max_tokens: Annotated[int, typer.Option("--max-tokens", min=1, help="Tokens drawn, at most.")] = 200,
    device: DeviceOption = "auto",
) -> None:
    """Draw text from a language model.

    A text is a line. Of a model of running text it has as many lines as its tokens make, and an empty line after it.

    The same seed gives the same text; --top-k 1 the likeliest token each time.
    """
    folder = bundle_folder(model)
    one_thread_a_process()
    from nmt.inference.language import TextModel

    loaded = TextModel.load(folder, device)
    texts = loaded.sample(
        prompt,
        seeds=range(seed, seed + count),
        max_tokens=max_tokens,
        temperature=temperature,
        top_k=top_k,
        top_p=max(top_p, 1e-9),
    )
    for text in texts:
        typer.echo(f"{text}\n" if loaded.runs_on and count > 1 else text)
