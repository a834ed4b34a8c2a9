"""Packages, dependencies and commands. Tool settings: pyproject.toml; reasons: docs/dependencies.md."""

import re
from pathlib import Path

from setuptools import find_packages, setup

VERSION = re.search(r'__version__ = "(.+?)"', Path("hailo_common/__init__.py").read_text(encoding="utf-8"))
assert VERSION

setup(
    name="hailo-appliance",
    version=VERSION[1],
    description="Florence-2 and Qwen2-VL as services on a Raspberry Pi, on a Hailo NPU or the CPU",
    license="Apache-2.0",
    license_files=["LICENSE"],
    python_requires=">=3.11",
    packages=find_packages(include=["hailo_common*", "hailo_florence*", "hailo_vision*"]),
    package_data={
        "hailo_common.web.page": ["static/*", "pictures/*"],
        **{
            name: [f"{model}_model/{part}*" for model in ("demo", "everyday") for part in ("", "onnx/")]
            for name in ("hailo_florence", "hailo_vision")
        },
    },
    install_requires=[
        "fastapi>=0.115",
        "jinja2>=3.1.6",
        "numpy>=2.0",
        "onnxruntime>=1.21",
        "pillow>=11.1",
        "prometheus-client>=0.21",
        "pydantic>=2.10",
        "python-multipart>=0.0.20",
        "pyyaml>=6.0.2",
        "tokenizers>=0.21",
        "urllib3>=2.3",
        "uvicorn>=0.32",
    ],
    extras_require={
        "completion": ["argcomplete>=3.1"],
        "clients": [
            "anthropic",
            "haystack-ai",
            "instructor",
            "langchain",
            "langchain-ollama",
            "langchain-openai",
            "litellm",
            "llama-index-llms-openai-like",
            "llm",
            "mcp",
            "ollama",
            "openai",
            "openai-agents",
            "pydantic-ai-slim[openai]",
            "smolagents",
        ],
        "constrain": ["llguidance>=1.9"],
        "docs": ["fastapi-offline>=1.7"],
        "gguf": ["xllamacpp==2026.10.11549"],
        "quantise": ["onnx>=1.17"],
        "dev": [
            "argcomplete>=3.1",
            "argparse-manpage>=4.6",
            "cyclonedx-python-lib[json-validation]>=8",
            "fastapi-offline>=1.7",
            "gguf>=0.19",
            "httpx",
            "hypothesis",
            "llguidance>=1.9",
            "mypy",
            "playwright>=1.50",
            "onnx>=1.17",
            "pytest",
            "pytest-xdist",
            "ruff",
            "types-PyYAML",
            "xllamacpp==2026.10.11549",
        ],
    },
    entry_points={
        "console_scripts": [
            "hailo-ctl = hailo_common.cli.main:main",
            "hailo-florence-server = hailo_florence.__main__:main",
            "hailo-vision-server = hailo_vision.__main__:main",
            "hailo-render-config = hailo_common.cli.render_config:main",
        ]
    },
)
