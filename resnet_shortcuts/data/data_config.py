"""The ``data`` section of a config. No torch, no NumPy: read by commands that must start at once."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from resnet_shortcuts.errors import SettingError
from resnet_shortcuts.suggestions import did_you_mean

SOURCES: dict[str, str] = {
    "digits": "scikit-learn's 8x8 handwritten digits, embedded: 1,000 to train on, 797 to test on, 10 classes, grey",
    "image-folder": "your own: a folder a class under train/ and test/ (or val/), or parquet files; any size",
    "cifar10": "CIFAR-10: 50,000 + 10,000 images, 32x32, 10 classes; found under the data root or downloaded",
    "cifar100": "CIFAR-100: 50,000 + 10,000 images, 32x32, 100 classes; found under the data root or downloaded",
    "tiny-imagenet": "Tiny ImageNet: 64x64, up to 200 classes; as unpacked, or sorted into class folders",
    "imagenet": "ImageNet: train/ with a folder a class (wnid), val/ likewise or flat with its labels",
    "imagenette": "Imagenette: 10 classes of ImageNet (imagenette2, -320 or -160, unpacked)",
}
NAMES: dict[str, str] = {
    "digits": "scikit-learn digits",
    "cifar10": "CIFAR-10",
    "cifar100": "CIFAR-100",
    "tiny-imagenet": "Tiny ImageNet",
    "imagenet": "ImageNet",
    "imagenette": "Imagenette",
}
"""What titles call the data set of a source; a folder of images is called by its own name."""
FOLDER_SOURCES = ("image-folder", "tiny-imagenet", "imagenet", "imagenette")
FIXED_RESOLUTION = {"digits": 8, "cifar10": 32, "cifar100": 32}

Augmentation = Literal["crop", "flip", "random-resized-crop"]
Count = Annotated[int, Field(strict=True, ge=1, le=100_000_000)]


class DataSpec(BaseModel):
    """What to train and test on.

    ``train_size``, ``test_size`` and ``validation`` count images; subsets are balanced over the classes and the same
    for every seed. ``resolution`` is in pixels (square). ``normalize``: ``channel`` subtracts each channel's mean
    and divides by its standard deviation, ``pixel`` subtracts each pixel's mean (He et al. 2015) and divides by 255,
    ``none`` divides by 255; means are those of the training images in use. ``augment``: ``crop`` pads by an eighth
    of the resolution (4 pixels at 32) and cuts at random, ``flip`` mirrors every second image at random,
    ``random-resized-crop`` cuts 8 to 100 % of the area. ``classes`` (a number, or names) and ``images_per_class``
    choose a part of a folder of images before it is decoded. ``test_fraction`` of each class becomes the test images of
    a folder that has none, drawn by the contents of the files. ``name`` is what titles call the data set.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str = "digits"
    root: str | None = Field(None, min_length=1)
    train_size: Count | None = None
    test_size: Count | None = None
    validation: Annotated[int, Field(strict=True, ge=0, le=100_000_000)] = 0
    resolution: Annotated[int, Field(strict=True, ge=4, le=1024)] | None = None
    normalize: Literal["channel", "pixel", "none"] = "channel"
    augment: tuple[Augmentation, ...] = ("crop",)
    classes: Annotated[int, Field(strict=True, ge=2)] | tuple[str, ...] | None = None
    images_per_class: Count | None = None
    test_fraction: Annotated[float, Field(strict=True, gt=0, lt=1)] | None = None
    name: Annotated[str, Field(min_length=1, max_length=80)] | None = None

    @field_validator("source")
    @classmethod
    def _known_source(cls, value: str) -> str:
        if value not in SOURCES:
            raise SettingError(f"unknown data source {value[:80]!r}", todo=did_you_mean(value, SOURCES))
        return value

    @field_validator("name")
    @classmethod
    def _printable_name(cls, value: str | None) -> str | None:
        if value is not None and not (value.isprintable() and value.strip()):
            raise SettingError("a name is a short printable text", todo="use printable characters")
        return value

    @field_validator("root")
    @classmethod
    def _valid_path(cls, value: str | None) -> str | None:
        if value is not None and "\0" in value:
            raise SettingError("a path cannot contain a NUL character", todo="remove it")
        return value

    @field_validator("classes", mode="before")
    @classmethod
    def _classes(cls, value: Any) -> Any:
        if isinstance(value, bool) or not isinstance(value, int | list | tuple | None):
            raise SettingError("", todo="give a number of classes (2 or more), or a list of class names")
        if isinstance(value, int | None):
            return value
        for index, name in enumerate(value):
            if isinstance(name, bool) or not isinstance(name, str | int):
                raise SettingError("a class name is text", str(index), "put the name in quotes")
        names = [str(name) for name in value]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise SettingError(f"class named twice: {', '.join(twice)}", todo="keep one")
        if len(names) < 2:
            raise SettingError("fewer than two classes", todo="name at least two")
        return tuple(names)

    @field_validator("augment")
    @classmethod
    def _augment(cls, value: tuple[Augmentation, ...]) -> tuple[Augmentation, ...]:
        if len(set(value)) < len(value):
            raise SettingError("an augmentation is named twice", todo="keep one")
        if {"crop", "random-resized-crop"} <= set(value):
            raise SettingError("crop and random-resized-crop exclude each other", todo="keep one")
        return tuple(sorted(value))

    @model_validator(mode="after")
    def _fits_source(self) -> "DataSpec":
        fixed = FIXED_RESOLUTION.get(self.source)
        if fixed is not None and self.resolution not in (None, fixed):
            raise self._misfit("resolution", f"the images of {self.source} are {fixed}x{fixed}")
        if self.source not in FOLDER_SOURCES:
            for key in ("classes", "images_per_class"):
                if getattr(self, key) is not None:
                    raise self._misfit(key, f"it needs a source of folders ({', '.join(FOLDER_SOURCES)})")
        if self.source == "digits" and self.root is not None:
            raise self._misfit("root", "digits are embedded")
        if self.source == "digits" and self.test_fraction is not None:
            raise self._misfit("test_fraction", "digits have a test split")
        if self.source == "digits" and "flip" in self.augment:
            raise self._misfit("augment", "a mirrored digit is not that digit", "leave flip out")
        return self

    @staticmethod
    def _misfit(key: str, what: str, todo: str = "") -> SettingError:
        return SettingError(what, key, todo or f"leave {key} out", beside=("source",))


def steps_per_epoch(images: int, batch_size: int) -> int:
    """Batches an epoch: the last may be shorter; one of a single image is left out, as batch normalisation needs
    two."""
    whole, rest = divmod(images, batch_size)
    return whole + (rest > 1 or (rest == 1 and batch_size == 1))
