"""What a recipe consists of."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from hypotheses.allocation import Allocation
from hypotheses.models.chat import Sampling
from hypotheses.selection import SelectionRule


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Step(_Frozen):
    """How a step samples from the model."""

    temperature: float = Field(0.7, ge=0, le=2)
    top_p: float | None = Field(None, gt=0, le=1)
    max_tokens: int = Field(1024, ge=1, description="tokens in one completion at most")
    seed: int | None = None

    def sampling(self, schema: str = "") -> Sampling:
        """Give the parameters of this step's requests, with the JSON schema that answers must satisfy."""
        return Sampling(
            temperature=self.temperature,
            max_tokens=self.max_tokens,
            top_p=self.top_p,
            seed=self.seed,
            schema=schema,
        )


class Propose(Step):
    """The first round: rules in words, programs, the outputs themselves, or terms that guide a search."""

    what: Literal["hypothesis", "program", "answer", "term"]
    samples: int = Field(5, ge=1)
    levels: tuple[Literal["", "concrete", "general"], ...] = Field(
        (), description="levels of abstraction, each asked for its share of the samples"
    )


class Summarize(Step):
    """Fewer hypotheses from many (Wang et al. 2023, section 2.3)."""

    to: int = Field(8, ge=1)
    temperature: float = Field(0.0, ge=0, le=2)


class Pick(_Frozen):
    """Keep some of the hypotheses: by how often they were proposed, or by a person."""

    to: int = Field(8, ge=1)
    by: Literal["score", "person"] = "score"


class Implement(Step):
    """From a rule in words to programs, or to outputs, where the model itself applies the rule."""

    by: Literal["translation", "application"] = "translation"
    programs: int = Field(1, ge=1, description="programs for one hypothesis")
    temperature: float = Field(0.0, ge=0, le=2)


class Refine(Step):
    """The later rounds: new rules, or repaired programs, from those that fail."""

    what: Literal["hypothesis", "program"]
    rounds: int = Field(2, ge=1, description="rounds after the first")
    samples: int = Field(5, ge=1, description="revisions in one round, shared out over the parents")
    parents: int = Field(1, ge=1, description="candidates, each of another behaviour, that are revised")
    critique: bool = Field(False, description="have the model say in words what is wrong first (Self-Refine)")


class Recall(_Frozen):
    """What a model is shown of a memory, where one is in use."""

    concepts: int = Field(8, ge=0, description="concepts at most; how many depends on how well they fit")
    tokens: int = Field(2_000, ge=1, description="tokens that they take up at most")
    by: Literal["rank", "model"] = Field("rank", description="who picks them from those that fit")
    order: Literal["best-first", "best-last", "ends"] = Field(
        "ends", description="their order in the prompt: models lose what lies in the middle"
    )
    abstract: bool = Field(False, description="have the model make concepts of what was tried")
    batch: int = Field(1, ge=1, description="tasks after which what they taught is recalled")
    required: bool = Field(False, description="without a memory the recipe is not what it says")


class PromptStyle(_Frozen):
    """How tasks are shown."""

    grid: Literal["digits", "colours", "objects", "runs"] = "digits"
    few_shot: int = Field(0, ge=0, le=2, description="worked examples of ours that come first")
    shots: int | None = Field(None, ge=1, description="the task's examples shown at most")
    failures: Literal["first", "all"] = "all"
    structured: bool = Field(False, description="have outputs and summaries as JSON, by a schema")
    translate_with_examples: bool = Field(True, description="show the examples to who implements a rule, too")


class Recipe(_Frozen):
    """A method: which steps, in which order, with which parameters.

    ``search`` puts the symbolic search first; a recipe without ``propose`` is nothing else. ``notes`` lets
    the model know what the search learned. Terms (``propose.what = "term"``) come before the search, which
    they guide.
    """

    name: str
    description: str = ""
    source: str = ""
    search: bool = False
    notes: bool = False
    propose: Propose | None = None
    summarize: Summarize | None = None
    pick: Pick | None = None
    implement: Implement | None = None
    refine: Refine | None = None
    recall: Recall = Recall()
    prompts: PromptStyle = PromptStyle()
    allocation: Allocation = "fixed"
    select: SelectionRule = "all-rounds"
    attempts: int = Field(1, ge=1)
    stop_early: bool = True

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.propose is None:
            if not self.search:
                raise ValueError("a recipe needs `propose`, or `search = true`")
            if self.summarize or self.pick or self.implement or self.refine:
                raise ValueError("without `propose` there is nothing to summarize, pick, implement or refine")
        elif self.propose.what == "hypothesis":
            if self.implement is None:
                raise ValueError("a recipe that proposes rules in words needs `implement`")
        else:
            if self.summarize or self.pick or self.implement:
                raise ValueError("`summarize`, `pick` and `implement` are for rules in words")
            if self.refine and self.refine.what == "hypothesis" and self.propose.what == "program":
                raise ValueError("programs without rules can only be refined as programs")
        if self.propose is not None and self.propose.what == "answer" and self.refine:
            raise ValueError("outputs that nothing checks cannot be refined")
        if self.propose is not None and self.propose.what == "term":
            if self.refine:
                raise ValueError("terms guide a search, and are not refined")
            if self.search:
                raise ValueError("a recipe that proposes terms searches after them: leave out `search`")
        applied = self.implement is not None and self.implement.by == "application"
        if applied and self.refine and self.refine.what == "program":
            raise ValueError("where the model applies the rules there is no program to refine")
        return self

    @property
    def rounds(self) -> int:
        """Rounds that ask the model, the first included."""
        return 0 if self.propose is None else 1 + (self.refine.rounds if self.refine else 0)
