"""A user's report that reached Microsoft by itself, as a test describes it.

It is plain data that travels over the control connection. What Microsoft makes of it is a submission with
`source: user`, which uses none of the admins' quota.
"""

from base64 import b64encode
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from pydantic import ConfigDict

from local.graph_simulator.submission import USUAL_SHAPE, RowShape
from local.graph_simulator.verdicts import Verdict

_SIMULATION = Verdict("phishingSimulation", "simulatedThreat")


@dataclass(frozen=True, slots=True, kw_only=True)
class UserSubmission:
    """The mail `mime`, delivered to `recipient` and reported by `reporter` with the Report button.

    `category` is the user's choice in Graph's words, `original_category` the filter's verdict at delivery (empty: like
    the choice). `at` is the instant of the report (None: now), `verdict` what Microsoft will say (None: as for any
    other submission). `attack_simulation_id` makes it the report of a phishing simulation. `shape` says what the row
    looks like.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(
        ser_json_bytes="base64", val_json_bytes="base64", extra="forbid"
    )

    mime: bytes
    recipient: str
    reporter: str
    category: str = "phishing"
    original_category: str = ""
    at: datetime | None = None
    verdict: Verdict | None = None
    attack_simulation_id: str = ""
    shape: RowShape = USUAL_SHAPE

    @property
    def fixed_verdict(self) -> Verdict | None:
        """The verdict this report gets whatever the tables say, None if they decide."""
        return self.verdict or (_SIMULATION if self.attack_simulation_id else None)

    def render_body(self) -> dict[str, object]:
        """Return the report as the POST body that an admin would send for the same mail."""
        return {
            "@odata.type": "#microsoft.graph.security.emailContentThreatSubmission",
            "category": self.category,
            "recipientEmailAddress": self.recipient,
            "fileContent": b64encode(self.mime).decode(),
        }
