import subprocess
import sys

import torch

from resnet_shortcuts.experiments import health
from resnet_shortcuts.torchvision_import import import_torchvision, plain_import_works


def test_torchvision_can_be_imported_beside_this_torch_and_its_models_run():
    torchvision = import_torchvision()
    with torch.inference_mode():
        assert torchvision.models.resnet18().eval()(torch.zeros(1, 3, 32, 32)).shape == (1, 1000)


def test_doctor_says_what_a_plain_import_does(tmp_path):
    plain = subprocess.run([sys.executable, "-c", "import torchvision"], capture_output=True, check=False)
    assert plain_import_works() == (plain.returncode == 0)
    notes = [row for row in health.examine(tmp_path, None) if row["what"] == "import torchvision"]
    assert [row["state"] for row in notes] == ([] if plain.returncode == 0 else ["note"])


def test_importing_twice_and_with_torchvision_already_there_is_no_error():
    code = (
        "from resnet_shortcuts.torchvision_import import import_torchvision as f\n"
        "assert f() is f()\n"
        "import torchvision.transforms\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
