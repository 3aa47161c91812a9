"""Which runner and which precision serve a bundle on this machine. Decided once, when it is loaded.

On a CPU the native kernels serve (int8 unless something else is asked for), without torch; torch is the general route:
every device, every registered form of network, and the fallback where the kernels cannot run.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from nmt.bundle import Bundle, load_bundle
from nmt.errors import BundleError, ConfigError, DeviceError
from nmt.hardware import has_nvidia_driver, multiplies_bf16, pick_device
from nmt.inference.members import Member, load_members
from nmt.inference.pipeline import Pipeline
from nmt.inference.routing import RoutedRunner
from nmt.inference.runner import Runner
from nmt.inference.types import Ensemble, Fusion

log = logging.getLogger(__name__)

PRECISIONS = ("auto", "fp32", "bf16", "fp16", "int8")
"""What may be asked for."""
AN_ENSEMBLE = "the kernels run one model, and this is an ensemble"
TORCH_PRECISIONS = {"cpu": ("fp32", "bf16"), "cuda": ("fp32", "bf16", "fp16")}


def load_pipeline(
    folder: Path | str,
    device: str = "auto",
    precision: str = "auto",
    threads: int = 1,
    shared_file: int | None = None,
    fusion: Fusion | None = None,
    ensemble: Ensemble | None = None,
) -> Pipeline:
    """A bundle, verified, ready to translate: `load_lanes` with one."""
    return load_lanes(folder, device, precision, threads, shared_file, fusion, ensemble, most=1)[0]


def load_lanes(
    folder: Path | str,
    device: str = "auto",
    precision: str = "auto",
    threads: int = 1,
    shared_file: int | None = None,
    fusion: Fusion | None = None,
    ensemble: Ensemble | None = None,
    *,
    most: int,
) -> list[Pipeline]:
    """A bundle, verified, ready to translate in as many pipelines as are worth having, at least one and at most `most`.

    They translate alike, and are stepped one by one. On the native kernels another costs next to nothing where
    processes share their weights; torch would hold a copy of all. `threads`: of torch's products, where it serves; 0:
    torch's own choice.

    `shared_file`: where processes that load the same bundle hold its weights together (`nmt.native.sharing`). `fusion`:
    every search is a plain one, with a language model beside it. `ensemble`: bundles that translate together with it.

    Raises BundleError, ConfigError for a language model or a member of the ensemble that does not fit, and DeviceError
    for a device or precision that is not there.
    """
    bundle = load_bundle(folder)
    further = load_members(bundle, ensemble)
    if fusion is not None:
        if precision not in ("auto", "fp32"):
            raise DeviceError(f"no {precision} with a language model: the plain searches run in fp32, use that or auto")
        fused = _fused_runner(bundle, fusion, device, threads, further)

        def fused_again() -> Runner:
            bundle = load_bundle(folder)
            return _fused_runner(bundle, fusion, device, threads, load_members(bundle, ensemble))

        return [Pipeline(bundle, fused, fused_again, further=further)]
    if further:
        return [_ensemble_pipeline(bundle, further, device, precision, threads)]

    def routed(bundle: Bundle) -> Runner:
        fast = choose_runner(bundle, device, precision, threads, shared_file)
        version = bundle.version
        # the weights are read again where the plain searches are asked for: few ever are
        return RoutedRunner(fast, lambda: _plain_runner(folder, version, fast.device, threads))

    first = Pipeline(bundle, routed(bundle), lambda: routed(load_bundle(folder)))
    others = most - 1 if first.info.runner == "native" and shared_file is not None else 0
    return [first, *(Pipeline(bundle, routed(bundle), lambda: routed(load_bundle(folder))) for _ in range(others))]


def _ensemble_pipeline(
    bundle: Bundle, further: Sequence[Member], device: str, precision: str, threads: int
) -> Pipeline:
    """Ensembles run on torch, the plain searches included. Their bundles stay in memory."""

    def routed() -> Runner:
        fast = _torch_runner(bundle, device, precision, threads, AN_ENSEMBLE, further)

        def plain() -> Runner:
            import torch

            from nmt.inference.plain_runner import PlainRunner

            return PlainRunner(bundle, torch.device(fast.device), further=further)

        return RoutedRunner(fast, plain)

    return Pipeline(bundle, routed(), routed, further=further)


def _plain_runner(folder: Path | str, version: str, device: str, threads: int) -> Runner:
    """Raises BundleError where another bundle lies there by now."""
    import torch

    from nmt.inference.plain_runner import PlainRunner

    bundle = load_bundle(folder)
    if bundle.version != version:
        raise BundleError(f"{folder}: another model than the one that serves: load it anew")
    if threads:
        torch.set_num_threads(threads)
    return PlainRunner(bundle, torch.device(device))


def _fused_runner(bundle: Bundle, fusion: Fusion, device: str, threads: int, further: Sequence[Member] = ()) -> Runner:
    """Raises ConfigError where the two models do not fit together, BundleError for anything but a language model."""
    import torch

    from nmt.inference.plain_runner import PlainRunner

    if fusion.weight < 0:
        raise ConfigError(f"a language model with the weight {fusion.weight}: it is 0 or more")
    language = load_bundle(fusion.folder, ["language-model"])
    ours, theirs = bundle.tokenizers.target, language.tokenizers.target
    if ours.pieces(range(ours.size)) != theirs.pieces(range(theirs.size)):
        raise ConfigError(
            f"{fusion.folder}: its vocabulary is not the target's of {bundle.folder}: "
            f'train it with text.vocabulary = "{bundle.folder}"'
        )
    if bundle.config.model.copying:
        raise ConfigError(f"{bundle.folder}: it copies words, which no language model can judge")
    if threads:
        torch.set_num_threads(threads)
    chosen = pick_device(device)
    return PlainRunner(bundle, chosen, language.build_language_model().to(chosen), fusion.weight, further=further)


def choose_runner(
    bundle: Bundle,
    device: str = "auto",
    precision: str = "auto",
    threads: int = 1,
    shared_file: int | None = None,
) -> Runner:
    """The fastest runner that can do what is asked. Raises DeviceError."""
    if precision not in PRECISIONS:
        raise DeviceError(f"no precision {precision!r}: use {', '.join(PRECISIONS)}")
    is_cpu = device == "cpu" or (device == "auto" and not has_nvidia_driver())
    if not is_cpu:
        chosen = pick_device(device)
        is_cpu = chosen.type == "cpu"
    reason = "there is a GPU"
    if is_cpu:
        from nmt.inference.native_runner import NativeRunner, why_not

        wanted = "int8" if precision == "auto" else precision
        reason = why_not(bundle, wanted)
        if not reason:
            return NativeRunner(bundle, "fp32" if wanted == "fp32" else "int8", shared_file=shared_file)
        if precision in ("auto", "int8"):
            log.warning("torch translates with this model: %s", reason)
    return _torch_runner(bundle, device, precision, threads, reason)


def _torch_runner(
    bundle: Bundle, device: str, precision: str, threads: int, reason: str, further: Sequence[Member] = ()
) -> Runner:
    """`reason`: why the native kernels do not serve. `further`: members of an ensemble."""
    import torch

    from nmt.inference.torch_runner import TorchRunner

    if threads:
        torch.set_num_threads(threads)
    chosen = pick_device(device)
    possible = TORCH_PRECISIONS[chosen.type]
    if precision == "auto":
        precision = "bf16" if chosen.type == "cuda" and multiplies_bf16(chosen) else "fp32"
    if precision not in possible:
        raise DeviceError(f"no {precision} on {chosen} for this model ({reason}): use {', '.join(possible)} or auto")
    return TorchRunner(bundle, chosen, precision, further=further)
