"""What a published file's name says; its configuration stands nowhere else."""

import re
from pathlib import Path
from typing import NamedTuple

_SCHEME = re.compile(
    r"TSM_(?P<dataset>[^_]+)_(?P<modality>RGB|Flow|RGBDiff)_(?P<arch>[^_]+)"
    r"(_shift(?P<fold_div>\d+)_(?P<place>[^_]+))?(?P<tpool>_tpool)?"
    r"_(?P<consensus>[^_]+)_segment(?P<n_segment>\d+)_e(?P<epochs>\d+)(?P<rest>(_[^_]+)*)"
)


class Hints(NamedTuple):
    """dataset "kinetics", "something", …; fold_div and place are None for a network without shift (TSN)."""

    dataset: str
    modality: str
    arch: str
    fold_div: int | None
    place: str | None
    temporal_pool: bool
    consensus: str
    n_segment: int
    epochs: int
    dense: bool
    non_local: bool


def parse(path) -> Hints | None:
    """What TSM_{dataset}_{modality}_{arch}[_shift{div}_{place}]_{consensus}_segment{T}_e{epochs}[_dense][_nl].pth says.

    Only the base name is read (a folder called temporal-shift-module says nothing). None for any other name.
    Source: store_name in main.py of mit-han-lab/temporal-shift-module.
    """
    found = _SCHEME.fullmatch(Path(path).name.split(".")[0])
    if not found:
        return None
    rest = found["rest"].split("_")
    return Hints(
        dataset=found["dataset"],
        modality=found["modality"],
        arch=found["arch"],
        fold_div=int(found["fold_div"]) if found["fold_div"] else None,
        place=found["place"],
        temporal_pool=bool(found["tpool"]),
        consensus=found["consensus"],
        n_segment=int(found["n_segment"]),
        epochs=int(found["epochs"]),
        dense="dense" in rest,
        non_local="nl" in rest,
    )
