"""What the user named, ContentInspector and ResponseFilter, and the transactions that they decide."""

from icapd.services.content_inspector import ContentInspector, RequestReport
from icapd.services.response_filter import ResponseFilter, ResponseReport

__all__ = ["ContentInspector", "RequestReport", "ResponseFilter", "ResponseReport"]
