"""ImageNet and its small relatives, unpacked: class folders named by wnid, or Tiny ImageNet's own layout.

ImageNet and Imagenette are photographs of many sizes. Of each, the central square is stored at 8/7 of the resolution
(256 for 224, as usual), so that ``crop`` and ``random-resized-crop`` have a margin to cut from and tests cut the
centre.
"""

from pathlib import Path

from resnet_shortcuts.data.data_config import DataSpec
from resnet_shortcuts.data.source_contract import Progress, Source
from resnet_shortcuts.data.sources.folders import (
    Classes,
    Listed,
    chosen_classes,
    class_folders,
    class_names,
    from_folders,
    from_listing,
    root_folder,
    same_classes,
)
from resnet_shortcuts.errors import DataError

RESOLUTION = 224
IMAGENETTE_RESOLUTION = 128
TINY_RESOLUTION = 64
_ANNOTATIONS = "val/val_annotations.txt"

_GET_IMAGENET = " (ImageNet needs an account: https://image-net.org/download-images; val/ sorted into class folders)"
_IMAGENETTE_URL = "https://s3.amazonaws.com/fast-ai-imageclas/imagenette2-160.tgz"
_GET_IMAGENETTE = f" (unpack {_IMAGENETTE_URL}, MD5 e793b78cc4c9e9a4ccc0c1155377a412, there)"
_TINY_URL = "http://cs231n.stanford.edu/tiny-imagenet-200.zip"
_GET_TINY = f" (unpack {_TINY_URL}, MD5 90528d7ca1a48142e341f4ef8d21d0de, there)"


def stored_side(resolution: int) -> int:
    """Pixels kept of a photograph for a resolution: 8/7 of it, 256 for 224."""
    return round(resolution * 8 / 7)


def find(spec: DataSpec, data_root: Path | None, cache: Path, progress: Progress | None) -> Source:
    """ImageNet: train/WNID/*.JPEG and val/WNID/*.JPEG."""
    root = root_folder(spec, data_root, "imagenet", "ILSVRC2012", "ILSVRC/Data/CLS-LOC", get=_GET_IMAGENET)
    resolution = spec.resolution or RESOLUTION
    return from_folders(spec, root, "val", resolution=resolution, stored=stored_side(resolution))


def find_imagenette(spec: DataSpec, data_root: Path | None, cache: Path, progress: Progress | None) -> Source:
    """Imagenette (https://github.com/fastai/imagenette), unpacked, of any of its three sizes; also as torchvision
    leaves it."""
    root = root_folder(
        spec, data_root, "imagenette2-160", "imagenette2-320", "imagenette2", "imagenette", get=_GET_IMAGENETTE
    )
    resolution = spec.resolution or IMAGENETTE_RESOLUTION
    return from_folders(spec, root, "val", resolution=resolution, stored=stored_side(resolution))


def find_tiny(spec: DataSpec, data_root: Path | None, cache: Path, progress: Progress | None) -> Source:
    """Tiny ImageNet (http://cs231n.stanford.edu/tiny-imagenet-200.zip), unpacked; test images are those of val/."""
    root = root_folder(spec, data_root, "tiny-imagenet-200", "tiny-imagenet", get=_GET_TINY)
    resolution = spec.resolution or TINY_RESOLUTION
    if not (root / _ANNOTATIONS).exists():  # someone has sorted val/ into class folders
        return from_folders(spec, root, "val", resolution=resolution)
    known = class_names(root, "train")
    test = _annotated(root)
    same_classes(root, known, tuple(test))
    names = chosen_classes(spec, known, root)
    return from_listing(spec, root, class_folders(root, "train", names), test, resolution=resolution)


def _annotated(root: Path) -> Classes:
    """The validation images by class, from lines of file name, wnid and a box. Raises DataError naming file or line."""
    listed = {Path(image.path).name: image for image in class_folders(root, "val", ("images",))["images"]}
    try:
        lines = (root / _ANNOTATIONS).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError("cannot read", str(root / _ANNOTATIONS), "get the data again") from error
    classes: dict[str, list[Listed]] = {}
    for number, line in enumerate(lines, 1):
        where = f"{root / _ANNOTATIONS}:{number}"
        name, _, rest = line.partition("\t")
        wnid = rest.partition("\t")[0].strip()
        if not wnid:
            raise DataError("no class on this line", where, "expected: file name, tab, wnid")
        if name not in listed:
            raise DataError(f"image {name!r} is missing or named twice", where, "get the data again")
        classes.setdefault(wnid, []).append(listed.pop(name))
    if listed:
        raise DataError(f"image without a class: {min(listed)}", str(root / _ANNOTATIONS), "get the data again")
    return {wnid: sorted(images, key=lambda image: image.path) for wnid, images in sorted(classes.items())}
