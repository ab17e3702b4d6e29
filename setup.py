"""Packaging of mmgradsplit; requirements.txt pins the environment in which it is developed."""

import re
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent
VERSION = re.search(r"'(.+)'", (ROOT / 'mmgradsplit' / 'version.py').read_text())
assert VERSION

setup(
    name='mmgradsplit',
    version=VERSION[1],
    description='Multi-task training for OpenMMLab: GradSplit',
    long_description=(ROOT / 'README.md').read_text(encoding='utf-8'),
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    license_files=['LICENSE'],
    packages=find_packages(include=['mmgradsplit', 'mmgradsplit.*']),
    # Through the links of .mim: configs, tools and model-index.yml, where OpenMMLab's mim looks.
    package_data={'mmgradsplit': ['**/*.json', '.mim/**/*', '.mim/*']},
    entry_points={'console_scripts': ['mmgradsplit = mmgradsplit.cli:main']},
    python_requires='>=3.10',
    # The toolboxes (mmengine, mmcv, mmdet, mmseg, mmpretrain, mmpose) are left out on purpose: two
    # families of distributions provide them under the same import names (upstream's mmcv, ... and
    # the maintained onedl-mmcv, ...), and naming one would install it over the other. The import of
    # mmgradsplit says what is missing or does not fit.
    install_requires=[
        'filelock>=3.12',
        'h5py>=3.8',
        'matplotlib>=3.7',
        'numpy>=1.24',
        'packaging>=23',
        'pillow>=9.2',
        'rich>=13',
        'safetensors>=0.4',
        'scipy>=1.10',
        'shtab>=1.7',
        # Adam's fused=True on CPUs, which the demo sets, came with 2.4.
        'torch>=2.4',
        'torchvision>=0.19',
    ],
    extras_require={
        'demo': ['gradio>=6'],
        'torchjd': ['torchjd[full]>=0.18'],
        # 2.6 has torch.export.Dim.AUTO, for graphs of free size.
        'onnx': ['onnx>=1.17', 'onnxscript>=0.5', 'onnxruntime>=1.20', 'torch>=2.6'],
    },
)
