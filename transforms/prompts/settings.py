"""Settings of prompted playlists."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from transforms.prompts.answer import AnswerSettings
from transforms.prompts.server import ModelServer


class PromptSettings(BaseModel):
    """How prompts are read and answered."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    answer: AnswerSettings = Field(AnswerSettings(), description="how playlists are made")
    aliases: dict[str, str] = Field({}, description="further spellings of tags: what people write -> the catalog's tag")
    follow_days: int = Field(30, ge=1, description="days back in which a prompt can be followed up")
    model: ModelServer = Field(
        ModelServer(), description="a language model that reads beside the rules; none by default"
    )
