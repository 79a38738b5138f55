"""Settings of the report."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class CostSettings(BaseModel):
    """The machine whose price the report reckons with."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    machine_hour: float | None = Field(
        None, ge=0, description="price of an hour of the machine; without one the report gives vCPU hours only"
    )
    currency: str = Field("USD", min_length=1, max_length=8, description="what the price is in")
    vcpus: int = Field(2, ge=1, description="vCPUs of that machine")
    memory_gb: float = Field(8.0, gt=0, description="memory of that machine; the report marks jobs that would not fit")
