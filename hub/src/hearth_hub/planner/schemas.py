"""How problems and plans look in the API's description: the planner's own types, said once."""

from __future__ import annotations

from typing import Any

REF = "#/components/schemas/{name}"


def planning_schemas() -> dict[str, Any]:
    """Return the JSON Schemas of problems, plans and evcc's requests, by name."""
    # the solver comes with them: a process that only answers shall not load it before somebody reads this page
    import msgspec

    from hearth_models.planning.evcc import EvccRequest
    from hearth_models.planning.joint_answer import Answer
    from hearth_models.planning.problem import Problem

    _, found = msgspec.json.schema_components([Problem, Answer, EvccRequest], ref_template=REF)
    return dict(found)


def takes(name: str) -> dict[str, Any]:
    """Return what an endpoint says of its body, which it reads itself."""
    content = {"application/json": {"schema": {"$ref": REF.format(name=name)}}}
    return {"requestBody": {"required": True, "content": content}}
