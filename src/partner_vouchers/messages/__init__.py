"""Personalised messages: Liquid templates over an event, a user's profile and linked content.

A template is input from outside the program. It reaches no file, no other template and no clock. Its size, its loops,
its filters and its total work are limited. Every failure is a `MessageError`.
"""

from partner_vouchers.messages.checking import Finding, FindingKind, NamesProperties
from partner_vouchers.messages.limits import (
    MAX_EXPRESSION,
    MAX_LOOP_ITERATIONS,
    MAX_MESSAGE,
    MAX_NESTING,
    MAX_SOURCE,
    MAX_VALUE,
    MAX_VARIABLES,
    MAX_WORK,
)
from partner_vouchers.messages.outcomes import Failed, HasProperties, Outcome, Recipient, Rendered, Skipped
from partner_vouchers.messages.template import MessageTemplate

__all__ = [
    "MAX_EXPRESSION",
    "MAX_LOOP_ITERATIONS",
    "MAX_MESSAGE",
    "MAX_NESTING",
    "MAX_SOURCE",
    "MAX_VALUE",
    "MAX_VARIABLES",
    "MAX_WORK",
    "Failed",
    "Finding",
    "FindingKind",
    "HasProperties",
    "MessageTemplate",
    "NamesProperties",
    "Outcome",
    "Recipient",
    "Rendered",
    "Skipped",
]
