"""NIfTI files that the tests make themselves."""

from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import numpy.typing as npt

SHAPE = (40, 50, 60)  # towards right, front and top


def draw_volume() -> npt.NDArray[np.int16]:
    """An ellipsoid that is brighter to the right, darker to the front, and dark within towards the top."""
    right, front, top = (np.linspace(-1, 1, side).reshape(place) for side, place in zip(SHAPE, _PLACES, strict=True))
    head = right**2 + front**2 + top**2 < 0.9
    return np.where(head, 400 + 100 * right - 80 * front - 60 * top, 0).astype(np.int16)


_PLACES = ((-1, 1, 1), (1, -1, 1), (1, 1, -1))


def save_volume(path: Path, voxels: npt.NDArray[Any], axes: str = "RAS", spacing: float = 1.0) -> Path:
    """Save voxels whose axes are right, front and top, turned so that they are stored along `axes`."""
    turned = nibabel.Nifti1Image(voxels, np.diag([1, 1, spacing, 1]))
    orientation = nibabel.orientations.ornt_transform(
        nibabel.orientations.axcodes2ornt("RAS"), nibabel.orientations.axcodes2ornt(axes)
    )
    nibabel.save(turned.as_reoriented(orientation), path)
    return path
