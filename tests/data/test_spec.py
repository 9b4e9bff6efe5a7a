import pytest
from pydantic import ValidationError

from resnet_shortcuts.data.data_config import SOURCES, DataSpec


def test_defaults_are_the_embedded_digits():
    spec = DataSpec()
    assert (spec.source, spec.normalize, spec.augment, spec.validation) == ("digits", "channel", ("crop",), 0)


def test_it_can_be_hashed_and_written_down():
    spec = DataSpec(source="imagenet", classes=["n2", "n1"], augment=["flip", "random-resized-crop"])
    assert hash(spec) == hash(DataSpec(**spec.model_dump(mode="json")))
    assert spec == DataSpec.model_validate(spec.model_dump(mode="json"))


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"source": "digit"}, "did you mean 'digits'?"),
        ({"sauce": "digits"}, "sauce"),
        ({"train_size": 0}, "train_size"),
        ({"train_size": 10.5}, "train_size"),
        ({"train_size": True}, "train_size"),
        ({"train_size": "100"}, "train_size"),
        ({"validation": -1}, "validation"),
        ({"resolution": 16}, "8x8"),
        ({"source": "cifar10", "resolution": 64}, "32x32"),
        ({"source": "image-folder", "resolution": 2}, "resolution"),
        ({"normalize": "both"}, "normalize"),
        ({"augment": ["crop", "crop"]}, "twice"),
        ({"augment": ["crop", "random-resized-crop"]}, "crop and random-resized-crop exclude each other"),
        ({"augment": ["flip"]}, "mirrored"),
        ({"augment": ["rotate"]}, "augment"),
        ({"classes": 3}, "source of folders"),
        ({"source": "imagenet", "classes": 1}, "classes"),
        ({"source": "imagenet", "classes": True}, "number of classes"),
        ({"source": "imagenet", "classes": ["n1", "n1"]}, "twice"),
        ({"source": "image-folder", "root": ""}, "root"),
        ({"source": "image-folder", "root": "a\0b"}, "NUL"),
        ({"source": "image-folder", "root": "a\ud800b"}, "root"),
        ({"root": "/data"}, "embedded"),
    ],
)
def test_wrong_values_are_refused_with_their_key(wrong, told):
    with pytest.raises(ValidationError, match=told):
        DataSpec(**wrong)


def test_every_source_has_a_line_of_explanation():
    assert all(len(line) > 20 for line in SOURCES.values())
