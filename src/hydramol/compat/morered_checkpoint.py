"""Weights of MoreRed models (Kahouli et al. 2024, arXiv:2404.10935) under our own names, read without running code.

Their layout is SchNetPack's: a NeuralNetworkPotential with ``representation.*`` (PaiNN) and ``output_modules.N.*``, one
for each head, alone or, in a Lightning checkpoint, under ``state_dict`` with the prefix ``model.``. Such a state_dict
holds the averaged weights where it was saved after a validation, as SchNetPack's callbacks do.
"""

from __future__ import annotations

import pickle
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from hydramol.compat.schnetpack import import_schnetpack
from hydramol.core.errors import CheckpointError, HydramolError

Heads = Literal["noise", "joint", "time"]

TIME_LAYERS = 3
"""Layers of a time head."""

_ANCHOR = "representation.embedding.weight"
_BACKBONE = re.compile(
    r"representation\.((embedding|radial_basis|cutoff_fn|filter_net)\.\w+"
    r"|(interactions|mixing)\.\d+\.(interatomic_context_net\.\d|intraatomic_context_net\.\d|mu_channel_mix)\.\w+)"
)
_NOISE = re.compile(r"output_modules\.(\d+)\.(outnet\.\d+\.(mix_vectors|scalar_net\.\d)\.\w+)")
_TIME = re.compile(r"output_modules\.(\d+)\.time_outnet\.(outnet\.\d+\.\w+)")
_JOINT_TIME = re.compile(r"output_modules\.(\d+)\.time_outnet\.time_outnet\.(outnet\.\d+\.\w+)")


@dataclass(frozen=True)
class MoreRedWeights:
    """A model's weights and what they say of its shape.

    Attributes:
        state: By our names: ``net.*``, ``noise_head.*``, ``time_head.*``.
        heads: "noise" (told the time), "time", or "joint" (the time head feeds the noise head).
        n_atom_basis: Features of the backbone.
        n_interactions: Rounds of messages.
        n_rbf: Gaussians on a distance.
        cutoff: Angstrom.
        max_z: Largest atomic number.
        shared_filters: One set of filters for all rounds.
        n_head_layers: Gated blocks of the noise head; None without one.
        takes_time: Whether the noise head is told the time; False without one.
    """

    state: dict[str, Tensor]
    heads: Heads
    n_atom_basis: int
    n_interactions: int
    n_rbf: int
    cutoff: float
    max_z: int
    shared_filters: bool
    n_head_layers: int | None
    takes_time: bool


# --- names -----------------------------------------------------------------------------------------------------------


def convert(theirs: Mapping[str, Tensor], where: str) -> MoreRedWeights:
    """Weights of a MoreRed model under our names.

    A time head inside the noise head is the one that the noise head listens to; another one beside it, which MoreRed
    builds but does not use, is left out.

    Args:
        theirs: A state_dict in their layout, with or without a prefix.
        where: The file, for messages.

    Raises:
        CheckpointError: The names or shapes are not those of such a model.
    """
    named = _without_prefix(theirs, where)
    backbone = {name.removeprefix("representation."): w for name, w in named.items() if _BACKBONE.fullmatch(name)}
    noise, beside, inside = (_heads(named, pattern, where) for pattern in (_NOISE, _TIME, _JOINT_TIME))
    known = (_BACKBONE, _NOISE, _TIME, _JOINT_TIME)
    foreign = [name for name in named if not any(pattern.fullmatch(name) for pattern in known)]
    if foreign:
        raise CheckpointError(
            f"has weights that no PaiNN of MoreRed has: {', '.join(foreign[:3])}{' ...' if len(foreign) > 3 else ''}",
            where=where,
        )
    if not noise and not beside:
        raise CheckpointError("has neither a noise head nor a time head", where=where)
    if noise and beside and not inside:
        raise CheckpointError("has a noise head and a time head that do not know each other", where=where)
    time = inside or beside
    if time and _depth(time) != TIME_LAYERS:
        raise CheckpointError(f"has a time head of {_depth(time)} layers, ours has {TIME_LAYERS}", where=where)
    state = {
        f"{part}.{name}": weight
        for part, weights in {"net": backbone, "noise_head": noise, "time_head": time}.items()
        for name, weight in weights.items()
    }
    try:
        return _shaped(state, backbone, noise, "joint" if inside else "noise" if noise else "time", where)
    except (KeyError, ValueError) as error:
        raise CheckpointError(f"lacks a part of a PaiNN of MoreRed: {error}", where=where) from error


def _shaped(
    state: dict[str, Tensor], backbone: Mapping[str, Tensor], noise: Mapping[str, Tensor], heads: Heads, where: str
) -> MoreRedWeights:
    n_elements, width = backbone["embedding.weight"].shape
    n_filters, n_rbf = backbone["filter_net.weight"].shape
    n_rounds = _depth(name for name in backbone if name.startswith("interactions."))
    if n_filters not in (3 * width, 3 * width * n_rounds):
        raise CheckpointError(f"has {n_filters} filters for {n_rounds} rounds of {width} features", where=where)
    n_time = 0
    if noise:
        n_time = (
            noise["outnet.0.scalar_net.0.weight"].shape[1] - width - noise["outnet.0.mix_vectors.weight"].shape[0] // 2
        )
        if n_time not in (0, 1):
            raise CheckpointError(f"has {n_time} time channels at its noise head, MoreRed's has 1", where=where)
    if heads == "joint" and n_time == 0:
        raise CheckpointError("has a time head whose answer its noise head does not take", where=where)
    return MoreRedWeights(
        state=state,
        heads=heads,
        n_atom_basis=width,
        n_interactions=n_rounds,
        n_rbf=n_rbf,
        cutoff=float(backbone["cutoff_fn.cutoff"].flatten()[0]),
        max_z=n_elements - 1,
        shared_filters=n_rounds > 1 and n_filters == 3 * width,
        n_head_layers=_depth(noise) if noise else None,
        takes_time=n_time == 1,
    )


def _without_prefix(theirs: Mapping[str, Tensor], where: str) -> dict[str, Tensor]:
    """Names from ``representation`` or ``output_modules`` on."""
    anchors = [name for name in theirs if name == _ANCHOR or name.endswith(f".{_ANCHOR}")]
    if len(anchors) != 1:
        raise CheckpointError(
            f"is no state_dict of a MoreRed model: {len(anchors)} weights end in {_ANCHOR}",
            where=where,
            fix="a PaiNN model is expected, of SchNetPack's layout",
        )
    prefix = anchors[0].removesuffix(_ANCHOR)
    return {name.removeprefix(prefix): weight for name, weight in theirs.items()}


def _heads(named: Mapping[str, Tensor], pattern: re.Pattern[str], where: str) -> dict[str, Tensor]:
    """The weights of the one head of a kind; empty without one."""
    found = [(match[1], match[2], w) for name, w in named.items() if (match := pattern.fullmatch(name))]
    if len({number for number, _, _ in found}) > 1:
        raise CheckpointError("has several heads of one kind", where=where)
    return {name: weight for _, name, weight in found}


def _depth(names: Iterable[str]) -> int:
    """Distinct numbers after the first dot: layers of ``outnet.0.weight, outnet.1.weight``."""
    return len({name.split(".")[1] for name in names})


# --- files -----------------------------------------------------------------------------------------------------------


def read_state_dict(path: Path, trust_checkpoint: bool = False) -> dict[str, Tensor]:
    """Reads the state_dict in a file.

    Args:
        path: A ``.safetensors`` file, or what torch.save made of a state_dict, a Lightning checkpoint, or, if trusted,
            a whole module.
        trust_checkpoint: Whether objects in the file may be unpickled, which runs whatever code they bring. Needs the
            packages that they come from.

    Raises:
        CheckpointError: The file is missing or broken, holds no state_dict, or would have to be trusted.
    """
    if not path.is_file():
        raise CheckpointError("there is no such file", where=str(path))
    if path.suffix == ".safetensors":
        try:
            return load_file(path)
        except (SafetensorError, OSError) as error:
            raise _broken(path, error) from error
    try:
        loaded = _load(path, weights_only=True)
    except pickle.UnpicklingError as error:
        if not trust_checkpoint:
            raise CheckpointError(
                "refused: it holds more than tensors, and loading that could run code",
                where=str(path),
                fix="trust_checkpoint=true, if you trust whoever made it",
            ) from error
        loaded = _load_trusted(path)
    return _state_dict_in(loaded, path)


def _load(path: Path, weights_only: bool) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=weights_only)
    except (RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        raise _broken(path, error) from error


def _load_trusted(path: Path) -> Any:
    with suppress(HydramolError):  # a file that needs SchNetPack says so itself, one that does not is none the worse
        import_schnetpack()
    try:
        return _load(path, weights_only=False)
    except (ImportError, AttributeError) as error:
        raise CheckpointError(
            f"needs what is not installed here: {error}",
            where=str(path),
            fix="save its state_dict where it was trained",
        ) from error
    except (pickle.UnpicklingError, TypeError, IndexError) as error:
        raise _broken(path, error) from error


def _state_dict_in(loaded: Any, path: Path) -> dict[str, Tensor]:
    found = loaded.get("state_dict", loaded) if isinstance(loaded, dict) else loaded
    if isinstance(found, nn.Module):
        found = found.state_dict()
    if not isinstance(found, Mapping) or not found:
        raise CheckpointError(f"holds a {type(found).__name__}, no state_dict", where=str(path))
    others = [str(name) for name, weight in found.items() if not isinstance(weight, Tensor)]
    if others:
        raise CheckpointError(f"holds no state_dict: {others[0]} is no tensor", where=str(path))
    return dict(found)


def _broken(path: Path, error: Exception) -> CheckpointError:
    said = str(error).splitlines()[0] if str(error) else type(error).__name__
    return CheckpointError(f"is broken or no checkpoint: {said}", where=str(path))
