"""Advanced hunting through Graph v1.0 `runHuntingQuery`.

The call is a POST and yet only reads: nothing is lost when its answer is. Every result within Microsoft's 30 days is
asked for; a narrower span is the query's own business. An answer is complete or it is an error.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping

from ...domain.errors import AnswerLost
from .transport import GraphTransport

TIMESPAN = "P30D"
"""As far back as Microsoft keeps hunting data (Graph documentation, "security: runHuntingQuery")."""
_OPERATION = "run a hunting query"


class GraphHunting:
    """The `HuntingQueries` port over Graph."""

    def __init__(self, transport: GraphTransport) -> None:
        self._transport = transport

    async def run(self, query: str) -> list[Mapping[str, object]]:
        """The rows of the answer; see the port."""
        body = json.dumps({"Query": query, "Timespan": TIMESPAN}).encode("ascii")
        path = "/v1.0/security/runHuntingQuery"
        answer = await self._transport.post_json(_OPERATION, path, {}, body, attempt_id=str(uuid.uuid4()))
        rows = answer.get("results")
        if not isinstance(rows, list) or not all(isinstance(one, dict) for one in rows):
            raise AnswerLost(_OPERATION, status=200, code="no_list_of_objects")
        return rows
