"""Settings of the language model that may read prompts beside the rules."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, field_validator


class ModelServer(BaseModel):
    """A server to ask, and how much it may be asked."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str = Field("", description="chat-completions endpoint; empty = no model, the parser alone")
    name: str = Field("", description="name of the model, as the server knows it")
    key_variable: str = Field("", description="environment variable of the workers that holds the server's key")
    handler: str = Field("", description="a handler of the entry-point group nightshelf.prompt_models, in place of url")
    timeout_seconds: float = Field(30.0, gt=0, le=600, description="longest wait for one answer")
    retries: int = Field(2, ge=0, le=10, description="times that a request is made again, where the reason may pass")
    wait_seconds: float = Field(1.0, ge=0, description="wait before that; twice as long each time")
    requests: int = Field(10_000, ge=0, description="texts a run may ask of the model; the parser alone reads the rest")

    @field_validator("url")
    @classmethod
    def _address(cls, value: str) -> str:
        if value and not value.startswith(("http://", "https://")):
            raise ValueError("must begin with http:// or https://")
        return value

    @property
    def asked(self) -> bool:
        """Whether any model is asked at all."""
        return bool(self.url or self.handler) and self.requests > 0
