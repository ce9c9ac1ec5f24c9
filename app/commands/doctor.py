"""``doctor``: what stands between this computer and a site's data, step by step."""

from __future__ import annotations

import argparse

from app.commands.context import Context
from app.errors import CancelledByUserError
from app.model.doctor import Step
from app.remote.doctor import report


def run_doctor(arguments: argparse.Namespace, context: Context) -> int:
    """Examine one site: steps as they come on standard error, the report in the end; the code is that of what failed.

    Raises:
        CancelledByUserError: it was given up on the way.
    """
    output = context.output

    def tell(step: Step) -> None:
        if step.is_settled:
            output.event("step", report.step_json(step), report.step_text(step))

    found = context.sites.examine(arguments.site, context.interaction, tell)
    if not found.complete:
        raise CancelledByUserError("The examination was cancelled.")
    output.result(report.as_json(found), report.as_text(found))
    return report.exit_code(found)
