"""Planning: the value of stored energy, a linear programme beside it, and the policy made of both.

`make_plan` needs the extra ``[plan]`` and is loaded when it is asked for; everything else needs numpy only, so an
agent can use `hearth_models.planning.policy` without the solver.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hearth_models.planning.inputs import PlanError, PlanInputs, extend_prices

if TYPE_CHECKING:
    from hearth_models.planning.plan import make_plan

__all__ = ["PlanError", "PlanInputs", "extend_prices", "make_plan"]


def __getattr__(name: str) -> Any:  # noqa: ANN401  PEP 562: the type of the attribute asked for
    if name == "make_plan":
        from hearth_models.planning.plan import make_plan

        return make_plan
    raise AttributeError(name)
