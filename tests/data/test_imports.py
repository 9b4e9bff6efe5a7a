import subprocess
import sys


def test_preparing_data_needs_no_torch_and_the_config_section_not_even_numpy():
    code = (
        "import sys, resnet_shortcuts.data.data_config; assert 'numpy' not in sys.modules;"
        "import resnet_shortcuts.data.dataset, resnet_shortcuts.data.prepare;"
        "assert not {'torch', 'torchvision', 'pandas', 'sklearn', 'pooch', 'requests'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
